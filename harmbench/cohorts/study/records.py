"""The table of a study's cohort: the split of each subject, and a record for each scan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from harmbench.cohorts.bids.published_split import split_as_published
from harmbench.cohorts.bids.recipe import Recipe
from harmbench.cohorts.study.covariates import age_in_years, typed_covariates
from harmbench.cohorts.study.digests import StudyDigests
from harmbench.cohorts.study.preparation import UsableScan
from harmbench.cohorts.study.scan_pairs import ScanPair
from harmbench.cohorts.study.scans import StudyScans
from harmbench.data.cohort_writer import ScanRecord
from harmbench.data.scans import Grid
from harmbench.data.spaces import COMMON, SPACE
from harmbench.data.splits import split_subjects
from harmbench.errors import UserError
from harmbench.preprocessing.normalization.base import Standard

# Sidecar fields that describe the scanner, as in the paper's Table 1.
SCANNER_FIELDS = (
    "Manufacturer",
    "ManufacturersModelName",
    "MagneticFieldStrength",
    "DeviceSerialNumber",
    "RepetitionTime",
    "InversionTime",
    "EchoTime",
    "FlipAngle",
)
# Entities by which the images of two sessions may differ.
_SERIES = ("acq", "ce", "rec", "dir", "inv", "part", "echo", "desc", "space")

_Value = TypeVar("_Value", str, int)


def assign_splits(
    usable: Sequence[UsableScan], domains: Sequence[str], recipe: Recipe, grid: Grid
) -> dict[str, str]:
    """Assign every subject to one split.

    Parameters
    ----------
    usable
        The usable scans.
    domains
        Names of the domains, the target domain first.
    recipe, grid
        The study's recipe, and the grid of the prepared scans.

    Returns
    -------
    dict
        `"train"`, `"validation"` or `"test"` by subject.
    """
    split = recipe.split
    subjects: dict[str, list[str]] = {domain: [] for domain in domains}
    paired: dict[str, list[str]] = {domain: [] for domain in domains[1:]}
    for scan in usable:
        subjects[scan.domain].append(scan.scan.subject)
        if scan.pair is not None and scan.domain in paired:
            paired[scan.domain].append(scan.scan.subject)
    if split.published:
        return split_as_published(subjects, paired, split, grid.shape[0])
    if split.test_only:
        return {subject: "test" for group in subjects.values() for subject in group}
    return split_subjects(subjects, validation=split.validation, test=split.test)


def scan_records(
    usable: Sequence[UsableScan],
    pairs: Sequence[ScanPair],
    digests: StudyDigests,
    splits: Mapping[str, str],
    folds: Mapping[str, int],
    standard: Standard,
    name_of: Callable[[Path], str],
) -> list[ScanRecord]:
    """Return the record of each usable scan.

    Parameters
    ----------
    usable
        The usable scans.
    pairs
        The scans of one subject in the same space.
    digests
        The study's digests.
    splits, folds
        The split of each subject, and its fold if the study names folds.
    standard
        The standard of a learned normalisation, or `()`.
    name_of
        Returns the name of a file in the table.
    """
    recipe = digests.settings.recipe
    pair_of = {_place(pair.source): pair for pair in pairs}
    # A travelling subject that was not scanned on the target scanner has pairs of its own.
    of_target = {
        place: pair for place, pair in pair_of.items() if pair.target.domain == recipe.target
    }
    paired = of_target.keys() | _paired_targets(usable, of_target.values(), recipe)
    spaces = _spaces(usable, pairs, every=recipe.pairs is None)
    covariates = typed_covariates([scan.scan.covariates for scan in usable])
    return [
        ScanRecord(
            domain=scan.domain,
            subject=scan.scan.subject,
            session=scan.scan.session,
            row=scan.job.row,
            key=digests.scan_key(scan.prepared, standard),
            label_key=digests.label_key(scan.scan),
            split=splits[scan.scan.subject],
            fold=folds.get(scan.scan.subject, 0),
            labelled=scan.prepared.labelled,
            paired=_place(scan) in paired,
            partner=scan.pair.partner.session
            if scan.pair is not None and _place(scan) in of_target
            else "",
            gap_days=None if scan.pair is None else scan.pair.gap_days,
            age=age_in_years(scan.scan.covariates),
            covariates=values,
            details=_details(scan, pair_of.get(_place(scan)), name_of)
            | {SPACE: spaces.get(_place(scan), "")},
        )
        for scan, values in zip(usable, covariates, strict=True)
    ]


def _paired_targets(
    usable: Sequence[UsableScan], pairs: Iterable[ScanPair], recipe: Recipe
) -> set[tuple[str, int]]:
    """Return the places of the target scans that another scan of the subject is paired with."""
    if recipe.pairs is not None:
        return {_place(pair.target) for pair in pairs}
    # Without a rule, a subject's other target scans lie in the same space as the first.
    subjects = {pair.target.scan.subject for pair in pairs}
    return {
        _place(scan)
        for scan in usable
        if scan.domain == recipe.target and scan.scan.subject in subjects
    }


def _spaces(
    usable: Sequence[UsableScan], pairs: Sequence[ScanPair], *, every: bool
) -> dict[tuple[str, int], str]:
    """Return the name of the space of each scan that shares its space with another one.

    The name is that of the scan that defines the space, `domain/session`. Without a rule for
    pairs (`every`), all scans of a subject are in one space.
    """
    if every:
        return {_place(scan): COMMON for scan in usable}
    names = {
        _place(pair.target): f"{pair.target.domain}/{pair.target.scan.session}" for pair in pairs
    }
    return names | {_place(pair.source): names[_place(pair.target)] for pair in pairs}


def _place(scan: UsableScan) -> tuple[str, int]:
    """Return what identifies a scan: a table may list a file more than once."""
    return scan.domain, scan.job.row


def _details(
    scan: UsableScan, pair: ScanPair | None, name_of: Callable[[Path], str]
) -> dict[str, Any]:
    prepared, labels, listed = scan.prepared, scan.job.labels, scan.scan
    sidecar = listed.sidecar or {}
    return {
        "path": name_of(listed.path),
        "label": listed.label,
        "choice": listed.choice,
        "visit": listed.visit,
        "series": " ".join(
            f"{name}-{value}" for name, value in listed.entities.items() if name in _SERIES
        ),
        **prepared.details,
        "labels": prepared.label_error or (name_of(labels) if labels else None),
        "pair": prepared.pair_error or (name_of(scan.pair.partner.path) if scan.pair else None),
        "pair_similarity": None if pair is None else pair.similarity,
        "scanner": {field: sidecar[field] for field in SCANNER_FIELDS if field in sidecar},
    }


def splits_by_subject(
    values: Mapping[str, _Value], subject_of: Mapping[str, str], column: str
) -> dict[str, _Value]:
    """Return the split or the fold of each subject, where labels became one subject.

    Parameters
    ----------
    values
        Split or fold by the subject in the study's table.
    subject_of
        The final subject by the subject in the table, where the two may differ.
    column
        Name of the values for the error message.

    Raises
    ------
    UserError
        If one subject would have two values.
    """
    result: dict[str, _Value] = {}
    for name, value in values.items():
        subject = subject_of.get(name, name)
        if result.setdefault(subject, value) != value:
            raise UserError(
                f"'{name}' and '{subject}' are one subject but have the {column}s '{value}' and "
                f"'{result[subject]}'; give them the same {column}"
            )
    return result


def cohort_facts(
    recipe: Recipe, scans: StudyScans, doubts: Sequence[str], standard: Standard
) -> dict[str, Any]:
    """Return the facts of the cohort, as JSON types.

    Parameters
    ----------
    recipe
        The study's recipe.
    scans
        The scans of the study.
    doubts
        What may make numbers wrong.
    standard
        The standard of a learned normalisation, or `()`.
    """
    facts: dict[str, Any] = {
        "unassigned": dict(scans.unassigned),
        "notes": list(scans.notes),
        "doubts": list(doubts),
    }
    if standard:
        facts["standard"] = list(standard)
    if recipe.pairs is not None and recipe.pairs.maximum_gap_days is not None:
        facts["maximum_gap_days"] = recipe.pairs.maximum_gap_days
    if recipe.pairs is not None and recipe.pairs.reference is not None:
        facts["travelling"] = True
    if recipe.split.published:
        facts["published_slices"] = {
            domain: sizes.model_dump() for domain, sizes in recipe.split.published.items()
        }
    return facts
