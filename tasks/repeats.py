"""Further scans of a subject on the target scanner: repeats, and scans without noise."""

from __future__ import annotations

from harmbench import Cohort, ScanKey, ScanSet


def matched(one: ScanSet, other: ScanSet) -> tuple[ScanSet, ScanSet]:
    """Return the first scan of each subject of both sets, in one order."""
    first, second = (
        {subject: index for index, subject in reversed(list(enumerate(scans.subjects)))}
        for scans in (one, other)
    )
    subjects = [subject for subject in dict.fromkeys(one.subjects) if subject in second]
    return one.subset([first[p] for p in subjects]), other.subset([second[p] for p in subjects])


def scanned_twice(cohort: Cohort) -> tuple[ScanSet, ScanSet] | None:
    """Return two scans of each test subject with two scans on the target scanner, or None."""
    scans = cohort.scans(cohort.target, "test")
    if "repeat" in cohort.facts:
        first, second = matched(scans, cohort.scans(cohort.facts["repeat"], "test"))
    else:
        indices: dict[str, list[int]] = {}
        for index, subject in enumerate(scans.subjects):
            indices.setdefault(subject, []).append(index)
        twice = [of_subject[:2] for of_subject in indices.values() if len(of_subject) > 1]
        first, second = (scans.subset([pair[i] for pair in twice]) for i in (0, 1))
    return (first, second) if len(first) else None


def repeats_of(cohort: Cohort, references: ScanSet) -> tuple[ScanSet | None, str]:
    """Return a repeat of every reference: same subject, scanner and space, another session.

    Parameters
    ----------
    cohort
        The cohort.
    references
        Test scans of the target domain.

    Returns
    -------
    repeats
        In the order of `references`; None unless every reference has a repeat.
    reason
        Why there are none; empty if there are.
    """
    domain = cohort.facts.get("repeat", cohort.target)
    travelling = cohort.facts.get("travelling")
    if domain == cohort.target and not travelling and _only_sources_registered(cohort):
        return None, f"scans of one subject on '{cohort.target}' are not in one space"
    candidates = cohort.scans(domain, "test")
    chosen = [
        repeats[0]
        for reference in references.scans
        if (repeats := repeats_in_its_space(cohort, domain, reference, candidates))
    ]
    if len(chosen) < len(references):
        return None, (
            f"only {len(chosen)} of {len(references)} test scans have a repeat on "
            f"'{cohort.target}' in the same space"
        )
    return candidates.subset(chosen), ""


def repeats_in_its_space(
    cohort: Cohort, domain: str, reference: ScanKey, candidates: ScanSet
) -> list[int]:
    """Return which scans of a domain are repeats of a scan, in the same space.

    Parameters
    ----------
    cohort, domain
        The cohort, and the domain of the candidates.
    reference
        The scan that is repeated.
    candidates
        Scans of the domain.
    """
    rows = cohort.table
    rows = rows[
        (rows["domain"] == domain) & rows["paired"] & (rows["subject"] == reference.subject)
    ]
    if (cohort.table["partner"] != "").any():
        # A scan is in the space of its partner, and the partner in its own.
        spaces = {
            session: partner or session
            for session, partner in zip(rows["session"], rows["partner"], strict=True)
        }
        space = spaces.get(reference.session)
        rows = rows[rows["session"].map(spaces) == space]
    sessions = set(rows["session"])
    return [
        index
        for index, scan in enumerate(candidates.scans)
        if scan.subject == reference.subject
        and scan.session in sessions
        and scan.key != reference.key
    ]


def _only_sources_registered(cohort: Cohort) -> bool:
    """Whether source scans are registered to partners, and no target scan to another one."""
    table = cohort.table
    registered = table[table["partner"] != ""]
    return bool(len(registered)) and cohort.target not in set(registered["domain"])


def noise_free(cohort: Cohort, references: ScanSet) -> ScanSet | None:
    """Return each reference's scan without noise, in the same order, or None.

    Only a phantom has them: the domain that its fact `noise_free` names.
    """
    if "noise_free" not in cohort.facts:
        return None
    scans = cohort.scans(cohort.facts["noise_free"], "test")
    if not set(references.subjects) <= set(scans.subjects):
        return None
    return scans.subset([scans.subjects.index(subject) for subject in references.subjects])
