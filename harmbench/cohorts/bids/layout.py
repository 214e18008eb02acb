"""The scans of a BIDS folder, and the domain that each belongs to."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harmbench.cohorts.bids.recipe import Criteria, DomainCriteria, Recipe, equal
from harmbench.errors import BadScanError, UserError
from harmbench.preprocessing.file_names import refuse_dicom, with_ending

# What may stand between a scan's entities and the end of the name of its brain mask.
_MASK = re.compile(
    r"(T1w_)?(space-(T1w|orig)_)?(label-brain_)?(desc-(brain|hdbet|bet|synthstrip)_)?"
    r"((brain|hdbet|bet|synthstrip)_?)?mask\.nii(\.gz)?",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class Scan:
    """A T1w file of the tree, and what the tree says of it.

    Attributes
    ----------
    path
        The volume.
    subject, session
        Labels of its `sub-` and `ses-` entities; the session is `"1"` without one.
    participant
        The subject's row of `participants.tsv`; empty without one.
    sidecar
        What the JSON sidecars say that apply to it, or None without one.
    mask, labels
        Volumes of the brain's mask and of tissue labels; None where there are none.
    inherited
        Sidecars of folders above, or of several scans, that also apply to it.
    """

    path: Path
    subject: str
    session: str
    participant: Mapping[str, str]
    sidecar: Mapping[str, Any] | None
    mask: Path | None = None
    labels: Path | None = None
    inherited: tuple[Path, ...] = ()


def find_scans(root: Path) -> tuple[list[Scan], dict[str, str]]:
    """Find the first T1w scan of every session, or the first of those with a sidecar.

    Returns
    -------
    scans, left_out
        The scans, in the order of subjects and sessions; and why others cannot be used, by
        their path in the folder.

    Raises
    ------
    UserError
        If the folder is no BIDS tree or has no T1w scan.
    """
    subjects = sorted(path for path in root.glob("sub-*") if path.is_dir())
    if not subjects:
        refuse_dicom(root)
        raise UserError(f"{root} is not a BIDS folder: it has no folders sub-*")
    participants = _participants(root)
    sidecars = Sidecars(root)
    scans: list[Scan] = []
    left_out: dict[str, str] = {}
    for subject_folder in subjects:
        sessions = sorted(path for path in subject_folder.glob("ses-*") if path.is_dir())
        for folder in sessions or [subject_folder]:
            path = _first_run(folder / "anat", sidecars)
            if path is None:
                continue
            subject = subject_folder.name.removeprefix("sub-")
            session = folder.name.removeprefix("ses-") if sessions else "1"
            try:
                applying = sidecars.of(path)
                sidecar = _merged(applying)
            except BadScanError as error:
                left_out[path.relative_to(root).as_posix()] = str(error)
            else:
                row = participants.get(subject, {})
                mask = brain_mask(root, path)
                above = tuple(file for file in applying if file != own_sidecar(path))
                scans.append(
                    Scan(
                        path=path,
                        subject=subject,
                        session=session,
                        participant=row,
                        sidecar=sidecar,
                        mask=mask,
                        inherited=above,
                    )
                )
    if not scans and not left_out:
        raise UserError(f"{root} has no T1w scan: no sub-*/[ses-*/]anat/*_T1w.nii[.gz]")
    return scans, left_out


def without_sidecar(recipe: Recipe, scan: Scan) -> bool:
    """Return whether an unmatched scan could belong to a domain if it had a sidecar."""
    return scan.sidecar is None and any(
        bool(domain.sidecar or domain.exclude) and _fits(scan.participant, domain.participants)
        for domain in recipe.domains.values()
    )


def match(recipe: Recipe, scans: Sequence[Scan]) -> dict[str, tuple[Scan, ...]]:
    """Give every scan to the domain whose criteria it meets; scans that meet none are dropped.

    Raises
    ------
    UserError
        If a criterion names a field that no scan has, a domain has no scans or a single
        subject, or a scan meets the criteria of two domains.
    """
    matched: dict[str, list[Scan]] = {name: [] for name in recipe.domains}
    for name, domain in recipe.domains.items():
        _check_fields(name, domain, scans)
    for scan in scans:
        names = [name for name, domain in recipe.domains.items() if _meets(scan, domain)]
        if len(names) > 1:
            raise UserError(
                f"scan {scan.path.name} is matched by two domains of recipe '{recipe.name}', "
                f"'{names[0]}' and '{names[1]}'; make their criteria narrower"
            )
        for name in names:
            matched[name].append(scan)
    if not any(matched.values()):
        raise UserError(
            f"recipe '{recipe.name}' matches none of the {len(scans)} scans; "
            f"{_misfit(recipe.target, recipe.domains[recipe.target], scans)}"
        )
    for name, domain in recipe.domains.items():
        subjects = {scan.subject for scan in matched[name]}
        if not subjects:
            raise UserError(
                f"domain '{name}' of recipe '{recipe.name}' matches none of the "
                f"{len(scans)} scans; {_misfit(name, domain, scans)}"
            )
        if len(subjects) == 1:
            raise UserError(
                f"domain '{name}' of recipe '{recipe.name}' has only one subject, "
                f"'{subjects.pop()}'; a split by subject needs at least two"
            )
    return {name: tuple(scans) for name, scans in matched.items()}


def _participants(root: Path) -> dict[str, dict[str, str]]:
    path = root / "participants.tsv"
    if not path.exists():
        return {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream, delimiter="\t"))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    if rows and "participant_id" not in rows[0]:
        raise UserError(f"{path} has no column 'participant_id'; are its columns parted by tabs?")
    return {row["participant_id"].removeprefix("sub-"): row for row in rows}


def _first_run(anat: Path, sidecars: Sidecars) -> Path | None:
    def order(path: Path) -> tuple[bool, int, str]:
        run = re.search(r"_run-(\d+)", path.name)
        return (not sidecars.of(path), int(run[1]) if run else 0, path.name)

    paths = [*anat.glob("*_T1w.nii.gz"), *anat.glob("*_T1w.nii")]
    return min(paths, key=order, default=None)


def brain_mask(root: Path, scan: Path) -> Path | None:
    """Find a scan's brain mask as HD-BET, SynthStrip or fMRIPrep leave one as a derivative."""
    stem = with_ending(scan, "").name.removesuffix("T1w")
    for folder in sorted(root.glob("derivatives/*")):
        scan_folder = folder / scan.parent.relative_to(root)
        for path in sorted(scan_folder.glob(f"{stem}*mask.nii*")):
            if _MASK.fullmatch(path.name.removeprefix(stem)):
                return path
    return None


def own_sidecar(scan: Path) -> Path:
    """Where the sidecar of a scan is that is of no other."""
    return with_ending(scan, ".json")


class Sidecars:
    """Which sidecars apply to a scan by BIDS' inheritance principle.

    They lie in the scan's folder or one above it, up to the root, end in the same suffix, and
    have no entity in their name that the scan's has not.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[Path, list[Path]] = {}

    def of(self, scan: Path) -> tuple[Path, ...]:
        """Return the sidecars that apply to a scan, the nearest last.

        Of several in one folder, the one with the most entities applies.
        """
        *entities, suffix = with_ending(scan, "").name.split("_")
        sidecars: list[Path] = []
        for folder in reversed(scan.parents):
            if not folder.is_relative_to(self._root):
                continue
            if folder not in self._known:
                self._known[folder] = list(folder.glob("*.json"))
            applying = []
            for path in self._known[folder]:
                *parts, end = path.name.removesuffix(".json").split("_")
                if end == suffix and set(parts) <= set(entities):
                    applying.append((len(parts), path))
            sidecars += [path for _, path in sorted(applying)]
        return tuple(sidecars)


def _merged(paths: Sequence[Path]) -> Mapping[str, Any] | None:
    """Return what sidecars say together, key by key the last that says it."""
    merged: dict[str, Any] = {}
    for path in paths:
        try:
            content = json.loads(path.read_text(encoding="utf-8-sig"))
        except (OSError, ValueError) as error:
            raise BadScanError(f"its sidecar {path.name} cannot be read: {error}") from error
        if not isinstance(content, dict):
            raise BadScanError(f"its sidecar {path.name} holds no JSON object")
        merged |= content
    return merged if paths else None


def _meets(scan: Scan, domain: DomainCriteria) -> bool:
    if domain.sidecar is None:
        if scan.sidecar is not None:
            return False
    elif not _fits(scan.sidecar or {}, domain.sidecar) or _excluded(scan.sidecar or {}, domain):
        return False
    return _fits(scan.participant, domain.participants)


def _fits(content: Mapping[str, Any], criteria: Criteria) -> bool:
    return all(
        any(equal(content.get(field), value) for value in values)
        for field, values in criteria.items()
    )


def _excluded(sidecar: Mapping[str, Any], domain: DomainCriteria) -> bool:
    """Whether a field has a value that will not do; one that is unknown will not do either."""
    return any(
        field not in sidecar or any(equal(sidecar[field], value) for value in values)
        for field, values in domain.exclude.items()
    )


def _places(
    domain: DomainCriteria, scans: Sequence[Scan]
) -> Iterator[tuple[str, Criteria, list[Mapping[str, Any]]]]:
    """Yield each place that criteria look at: what its fields are called, and all contents."""
    yield "column of participants.tsv", domain.participants, [scan.participant for scan in scans]
    sidecars = [scan.sidecar for scan in scans if scan.sidecar is not None]
    yield "sidecar field", domain.sidecar or {}, sidecars


def _check_fields(name: str, domain: DomainCriteria, scans: Sequence[Scan]) -> None:
    for kind, criteria, contents in _places(domain, scans):
        fields = {field for content in contents for field in content}
        requested = [*criteria, *(domain.exclude if kind == "sidecar field" else ())]
        for field in requested:
            if field not in fields:
                raise UserError.unknown(f"{kind} as domain '{name}' asks for,", field, fields)


def _misfit(name: str, domain: DomainCriteria, scans: Sequence[Scan]) -> str:
    """Say which criterion nothing meets, and what there is instead."""
    for kind, criteria, contents in _places(domain, scans):
        for field, values in criteria.items():
            if not any(_fits(content, {field: values}) for content in contents):
                present = sorted({str(content[field]) for content in contents if field in content})
                examples = ", ".join(present[:6]) + (", ..." if len(present) > 6 else "")
                wanted = " or ".join(str(value) for value in values)
                return f"the {kind} {field} is never {wanted}, there are: {examples}"
    return f"no scan meets all that domain '{name}' asks for at once"
