"""The table of a study's cohort: the split of each subject, and a record for each scan."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harmbench.cohorts.bids.published_split import split_as_published
from harmbench.cohorts.bids.recipe import Recipe
from harmbench.cohorts.study.digests import StudyDigests
from harmbench.cohorts.study.preparation import UsableScan
from harmbench.data.cohort_writer import ScanRecord
from harmbench.data.scans import Grid
from harmbench.data.splits import split_subjects
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
        if scan.pair is not None:
            paired[scan.domain].append(scan.scan.subject)
    if split.published:
        return split_as_published(subjects, paired, split, grid.shape[0])
    return split_subjects(subjects, validation=split.validation, test=split.test)


def scan_records(
    usable: Sequence[UsableScan],
    recipe: Recipe,
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
    recipe, digests
        The study's recipe and digests.
    splits, folds
        The split of each subject, and its fold if the study names folds.
    standard
        The standard of a learned normalisation, or `()`.
    name_of
        Returns the name of a file in the table.
    """
    paired = _paired_scans(usable, recipe)
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
            paired=scan.scan.path in paired,
            partner="" if scan.pair is None else scan.pair.partner.session,
            gap_days=None if scan.pair is None else scan.pair.gap_days,
            age=_age(scan),
            details=_details(scan, name_of),
        )
        for scan in usable
    ]


def _age(scan: UsableScan) -> float | None:
    """Return the age in years of the subject's row in the listing; None if it is no number."""
    try:
        age = float(scan.scan.participant.get("age", ""))
    except ValueError:
        return None
    return age if math.isfinite(age) else None


def _paired_scans(usable: Sequence[UsableScan], recipe: Recipe) -> set[Path]:
    """Return the volumes of scans with a scan of the same subject in the same space.

    Without rules for pairs in the recipe, all scans of a subject are in the same space.
    """
    if recipe.pairs is not None:
        pairs = [(scan.scan, scan.pair.partner) for scan in usable if scan.pair is not None]
        return {scan.path for pair in pairs for scan in pair}
    in_target = {scan.scan.subject for scan in usable if scan.domain == recipe.target}
    in_sources = {scan.scan.subject for scan in usable if scan.domain != recipe.target}
    return {scan.scan.path for scan in usable if scan.scan.subject in in_target & in_sources}


def _details(scan: UsableScan, name_of: Callable[[Path], str]) -> dict[str, Any]:
    prepared, labels = scan.prepared, scan.job.labels
    sidecar = scan.scan.sidecar or {}
    return {
        "path": name_of(scan.scan.path),
        **prepared.details,
        "labels": prepared.label_error or (name_of(labels) if labels else None),
        "pair": prepared.pair_error or (name_of(scan.pair.partner.path) if scan.pair else None),
        "scanner": {field: sidecar[field] for field in SCANNER_FIELDS if field in sidecar},
    }


def cohort_facts(recipe: Recipe, unassigned: int, standard: Standard) -> dict[str, Any]:
    """Return the facts of the cohort, as JSON types.

    Parameters
    ----------
    recipe
        The study's recipe.
    unassigned
        Number of scans that belong to no domain.
    standard
        The standard of a learned normalisation, or `()`.
    """
    facts: dict[str, Any] = {"unassigned": unassigned}
    if standard:
        facts["standard"] = list(standard)
    if recipe.pairs is not None:
        facts["maximum_gap_days"] = recipe.pairs.maximum_gap_days
    if recipe.split.published:
        facts["published_slices"] = {
            domain: sizes.model_dump() for domain, sizes in recipe.split.published.items()
        }
    return facts
