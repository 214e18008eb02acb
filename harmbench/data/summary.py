"""What a cohort holds, domain by domain, in the rows of the paper's Table 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from harmbench.data.cohort import Cohort
from harmbench.data.splits import SPLITS
from harmbench.util.name_list import first_names

_MOST_VALUES = 3

# Heading, key in a scan's details, and factor to the heading's unit.
_SCANNER: tuple[tuple[str, str, float], ...] = (
    ("manufacturer", "Manufacturer", 1),
    ("scanner", "ManufacturersModelName", 1),
    ("serial number", "DeviceSerialNumber", 1),
    ("field strength (T)", "MagneticFieldStrength", 1),
    ("TR (s)", "RepetitionTime", 1),
    ("TI (s)", "InversionTime", 1),
    ("TE (ms)", "EchoTime", 1000),
    ("flip angle (°)", "FlipAngle", 1),
)

# Processing steps: heading, and key in a scan's details.
_STEPS = (("brain extraction", "brain_extraction"), ("bias correction", "bias_correction"))


def totals(cohort: Cohort) -> str:
    """Describe the target and its sources in one line: scans, subjects, domains and repeats."""
    table = cohort.table[cohort.table["domain"].isin([cohort.target, *cohort.sources])]
    scans_of = table.groupby(["subject", "domain"]).size()
    repeated = {subject for subject, _ in scans_of[scans_of > 1].index}
    travelling = int((table.groupby("subject")["domain"].nunique() > 1).sum())
    return (
        f"{len(table)} scans of {table['subject'].nunique()} subjects in "
        f"{1 + len(cohort.sources)} domains; {travelling} subjects in several domains, "
        f"{len(repeated)} with repeats in one"
    )


def domain_rows(cohort: Cohort) -> dict[str, list[str]]:
    """Describe each domain.

    Returns
    -------
    dict
        By heading, one text for each domain, the target domain first; rows that are empty
        for all domains are left out.
    """
    domains = (cohort.target, *cohort.sources)
    tables = [cohort.table[cohort.table["domain"] == domain] for domain in domains]
    published: Mapping[str, Mapping[str, int]] = cohort.facts.get("published_slices", {})
    slices = cohort.grid.shape[0]

    details = [list(table["details"]) for table in tables]
    rows = {
        "role": ["target", *("source" for _ in cohort.sources)],
        "subjects": [str(table["subject"].nunique()) for table in tables],
        "scans": [str(len(table)) for table in tables],
        "slices": [str(len(table) * slices) for table in tables],
        "subjects with repeats": [_repeated(table) for table in tables],
    }
    for split in SPLITS:
        parts = [table[table["split"] == split] for table in tables]
        rows[f"{split}: subjects, scans, slices"] = [_size(part, slices) for part in parts]
        rows[f"{split}: slices published"] = [
            str(published[domain][split]) if domain in published else "" for domain in domains
        ]
    for split in ("train", "test"):
        pairs = [None, *(cohort.pairs(source, split) for source in cohort.sources)]
        rows[f"{split}: pairs, slices"] = [
            f"{len(pair[0])}, {len(pair[0]) * slices}" if pair else "" for pair in pairs
        ]
    rows["train: paired slices published"] = [
        str(published[domain]["paired"] or "") if domain in published else "" for domain in domains
    ]
    rows["days between pairs: median, maximum"] = [_gaps(table) for table in tables]
    rows["labelled scans"] = [str(int(table["labelled"].sum()) or "") for table in tables]
    rows["correlation with MNI152: lowest"] = [_lowest(table) for table in tables]
    rows["doubtful registrations"] = [
        str(sum(bool(scan.get("doubtful")) for scan in scans) or "") for scans in details
    ]
    rows["doubtful brain masks"] = [
        str(sum(bool(scan.get("mask_doubts")) for scan in scans) or "") for scans in details
    ]
    for heading, field in _STEPS:
        rows[heading] = [_values([scan.get(field) for scan in scans]) for scans in details]
    for heading, field, factor in _SCANNER:
        rows[heading] = [
            _values([_scaled(_scanner(scan).get(field), factor) for scan in scans])
            for scans in details
        ]
    rows["series"] = [_values(_series(scans)) for scans in details]
    rows["matrix size"] = [_values([scan.get("shape") for scan in scans]) for scans in details]
    rows["resolution (mm)"] = [
        _values([scan.get("voxel_size") or _scanner(scan).get("VoxelSize") for scan in scans])
        for scans in details
    ]
    return {heading: texts for heading, texts in rows.items() if any(texts)}


def _series(scans: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the series of each scan in a domain whose scans are of more than one."""
    names = [str(scan.get("series") or "plain T1w") for scan in scans]
    return names if len(set(names)) > 1 else []


def _size(table: pd.DataFrame, slices: int) -> str:
    return f"{table['subject'].nunique()}, {len(table)}, {len(table) * slices}"


def _repeated(table: pd.DataFrame) -> str:
    """Return how many subjects have more than one scan; empty if none has."""
    return str(int((table["subject"].value_counts() > 1).sum()) or "")


def _gaps(table: pd.DataFrame) -> str:
    gaps = table["gap_days"].dropna()
    return f"{gaps.median():.0f}, {gaps.max():.0f}" if len(gaps) else ""


def _lowest(table: pd.DataFrame) -> str:
    correlations = [row["correlation"] for row in table["details"] if "correlation" in row]
    return f"{min(correlations):.2f}" if correlations else ""


def _scanner(details: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the scanner's fields; a scanner given as a single string counts as its model."""
    scanner = details.get("scanner")
    if isinstance(scanner, Mapping):
        return scanner
    return {} if scanner is None else {"ManufacturersModelName": scanner}


def _scaled(value: Any, factor: float) -> Any:
    """Convert a number to the unit of its row."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"{value * factor:.4g}"
    return value


def _values(values: Sequence[Any]) -> str:
    """List the values of all scans, the most frequent first."""
    texts = pd.Series([_text(value) for value in values if value not in (None, "")], dtype=object)
    return first_names(texts.value_counts().index, _MOST_VALUES)


def _text(value: Any) -> str:
    return "×".join(f"{x:g}" for x in value) if isinstance(value, (list, tuple)) else str(value)
