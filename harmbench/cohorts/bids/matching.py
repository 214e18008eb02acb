"""Which T1w files of a study belong to which domain of its recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harmbench.cohorts.bids.layout import Layout
from harmbench.cohorts.bids.preference import why_preferred
from harmbench.cohorts.bids.recipe import (
    Criteria,
    DomainCriteria,
    Recipe,
    Value,
    equal,
)
from harmbench.cohorts.bids.scan import Scan
from harmbench.errors import UserError
from harmbench.util.name_list import first_names

_NO_SIDECAR = "it has no sidecar, so its scanner is not known"
_MOST_VALUES = 6  # in one error message


@dataclass(frozen=True)
class Place:
    """A place where a study describes its scans.

    Attributes
    ----------
    title
        What one of its fields is called.
    content
        Returns what the place says of a scan; None if it says nothing.
    accepted, rejected
        Return the criteria of a domain.
    """

    title: str
    content: Callable[[Scan], Mapping[str, Any] | None]
    accepted: Callable[[DomainCriteria], Criteria]
    rejected: Callable[[DomainCriteria], Criteria]


_PLACES = (
    Place(
        "label",
        lambda scan: {"scanner": scan.scanner} if scan.scanner else None,
        lambda domain: {} if domain.scanner is None else {"scanner": domain.scanner},
        lambda domain: {},
    ),
    Place(
        "column of participants.tsv",
        lambda scan: scan.participant or None,
        lambda domain: domain.participants,
        lambda domain: {},
    ),
    Place(
        "column of sessions.tsv",
        lambda scan: scan.session_row or None,
        lambda domain: domain.sessions,
        lambda domain: {},
    ),
    Place(
        "column of scans.tsv",
        lambda scan: scan.scan_row or None,
        lambda domain: domain.scans,
        lambda domain: {},
    ),
    Place(
        "sidecar field",
        lambda scan: scan.sidecar,
        lambda domain: domain.sidecar or {},
        lambda domain: domain.exclude,
    ),
)


@dataclass(frozen=True)
class Matched:
    """The scans of each domain, and the rest.

    Attributes
    ----------
    domains
        The scan of each session, by domain, with the alternatives to it.
    left_out
        The preferred files of sessions that may belong to a domain, and why this is not known.
    unassigned
        The preferred files of sessions that belong to no domain, with the reason.
    """

    domains: Mapping[str, tuple[Scan, ...]]
    left_out: Sequence[tuple[Scan, str]]
    unassigned: Sequence[tuple[Scan, str]]


def match(recipe: Recipe, layout: Layout) -> Matched:
    """Give each domain the preferred scan, of those that meet its criteria, of every session.

    Raises
    ------
    UserError
        If a criterion names a field that no scan has, a domain has no scans or a single
        subject, or a scan meets the criteria of two domains.
    """
    _check_fields(recipe, layout)
    domains: dict[str, list[Scan]] = {name: [] for name in recipe.domains}
    left_out: list[tuple[Scan, str]] = []
    unassigned: list[tuple[Scan, str]] = []
    for session in layout.sessions:
        candidates: dict[str, list[Scan]] = {}
        for scan in session:
            name = _domain_of(scan, recipe)
            if name is not None:
                candidates.setdefault(name, []).append(scan)
        for name, scans in candidates.items():
            domains[name].append(_chosen(scans, session, recipe, name))
        if not candidates and any(map(_lacks_sidecar(recipe), session)):
            left_out.append((session[0], _NO_SIDECAR))
        elif not candidates:
            unassigned.append((session[0], _misfit(session[0], recipe)))
    _check_domains(domains, recipe, layout)
    matched = {name: tuple(scans) for name, scans in domains.items()}
    return Matched(matched, left_out, unassigned)


def _chosen(scans: Sequence[Scan], session: Sequence[Scan], recipe: Recipe, domain: str) -> Scan:
    """Return the first scan, with the others as alternatives and the reasons of the choice."""
    first, *others = scans
    reasons = [f"{other.path.name} ({why_preferred(first, other)})" for other in others]
    for scan in session:
        if scan not in scans:
            failures = _failures(scan, recipe.domains[domain])
            reasons.append(f"{scan.path.name} ({', '.join(failures)})")
    choice = f"before {', '.join(reasons)}" if reasons else ""
    return replace(first, alternatives=tuple(others), choice=choice)


def _domain_of(scan: Scan, recipe: Recipe) -> str | None:
    names = [name for name, domain in recipe.domains.items() if _meets(scan, domain)]
    if len(names) > 1:
        raise UserError(
            f"scan {scan.path.name} is matched by two domains of recipe '{recipe.name}', "
            f"'{names[0]}' and '{names[1]}'; make their criteria narrower"
        )
    return names[0] if names else None


def _meets(scan: Scan, domain: DomainCriteria) -> bool:
    return next(_failures(scan, domain), None) is None


def _failures(scan: Scan, domain: DomainCriteria) -> Iterator[str]:
    """Yield the criteria of a domain that a scan does not meet, with what is there instead."""
    if domain.sidecar is None and scan.sidecar is not None:
        yield "it has a sidecar"
    for place in _PLACES:
        content = place.content(scan) or {}
        rejected = place.rejected(domain)
        for field in {**place.accepted(domain), **rejected}:
            accepted = place.accepted(domain).get(field)
            value = content.get(field)
            if value is None:
                yield f"{field} is unknown"
            elif (accepted is not None and not _one_of(value, accepted)) or _one_of(
                value, rejected.get(field, ())
            ):
                yield f"{field} is '{value}'"


def _one_of(value: object, accepted: Iterable[Value]) -> bool:
    return any(equal(value, other) for other in accepted)


def _misfit(scan: Scan, recipe: Recipe) -> str:
    """Return by which criteria a scan belongs to no domain: those of the nearest domains."""
    if any(domain.participants for domain in recipe.domains.values()) and not scan.participant:
        return "no row of participants.tsv fits"
    failures = [list(_failures(scan, domain)) for domain in recipe.domains.values()]
    fewest = min(map(len, failures))
    nearest = [failure for group in failures if len(group) == fewest for failure in group]
    return ", ".join(dict.fromkeys(nearest))


def _lacks_sidecar(recipe: Recipe) -> Callable[[Scan], bool]:
    """Return a test whether a scan could belong to a domain if it had a sidecar."""

    def lacks(scan: Scan) -> bool:
        return scan.sidecar is None and any(
            bool(domain.sidecar or domain.exclude)
            and _meets(scan, domain.model_copy(update={"sidecar": {}, "exclude": {}}))
            for domain in recipe.domains.values()
        )

    return lacks


def _check_fields(recipe: Recipe, layout: Layout) -> None:
    """Check that every field of the recipe is known in its place."""
    scans = layout.scans
    for place in _PLACES:
        fields = {name for scan in scans for name in place.content(scan) or {}}
        if place.title == "column of participants.tsv":
            # Columns are known even when no row fits a folder.
            fields |= {*layout.participant_columns}
        for name, domain in recipe.domains.items():
            for field in {**place.accepted(domain), **place.rejected(domain)}:
                if field not in fields:
                    error = UserError.unknown(
                        f"{place.title} as domain '{name}' asks for,", field, fields
                    )
                    raise UserError(f"{error}{_hint(layout)}")


def _check_domains(domains: Mapping[str, Sequence[Scan]], recipe: Recipe, layout: Layout) -> None:
    """Check that every domain has scans of as many subjects as the split needs."""
    number = len(layout.scans)
    if not any(domains.values()):
        raise UserError(
            f"recipe '{recipe.name}' matches none of the {number} scans; "
            f"{_never_met(recipe.target, recipe.domains[recipe.target], layout)}{_hint(layout)}"
        )
    for name, domain in recipe.domains.items():
        subjects = {scan.subject for scan in domains[name]}
        if not subjects:
            raise UserError(
                f"domain '{name}' of recipe '{recipe.name}' matches none of the {number} scans; "
                f"{_never_met(name, domain, layout)}{_hint(layout)}"
            )
        if len(subjects) < recipe.split.fewest_subjects:
            raise UserError(
                f"domain '{name}' of recipe '{recipe.name}' has only one subject, "
                f"'{subjects.pop()}'; a split by subject needs at least two (with [split] "
                f"test_only = true one is enough){_hint(layout)}"
            )


def _hint(layout: Layout) -> str:
    """Return what may explain that scans are not matched: notes, and scans that are left out."""
    hints = [*layout.notes]
    if layout.left_out:
        name, reason = next(iter(layout.left_out.items()))
        more = f"; and {len(layout.left_out) - 1} more" if len(layout.left_out) > 1 else ""
        hints.append(f"left out {name}: {reason}{more}")
    return f" ({'; '.join(hints)})" if hints else ""


def _never_met(name: str, domain: DomainCriteria, layout: Layout) -> str:
    """Return which criterion no scan meets, and the values that there are instead."""
    for place in _PLACES:
        contents = [place.content(scan) or {} for scan in layout.scans]
        for field, accepted in place.accepted(domain).items():
            values = [str(content[field]) for content in contents if field in content]
            if not any(equal(value, other) for value in values for other in accepted):
                wanted = " or ".join(map(str, accepted))
                there = first_names(sorted({*values}), _MOST_VALUES) or "no values"
                return f"the {place.title} {field} is never {wanted}, there are: {there}"
    return f"no scan meets all that domain '{name}' asks for at once"
