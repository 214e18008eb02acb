"""Source and target scans of different subjects."""

from __future__ import annotations

from harmbench.data.scan_set import ScanSet
from harmbench.data.splits import halve_subjects


def disjoint_subjects(source: ScanSet, target: ScanSet) -> tuple[ScanSet, ScanSet]:
    """Return source and target scans that share no subject.

    Subjects with scans in both sets are divided by `halve_subjects`: of one half the source
    scans stay, of the other half the target scans. Scans of all other subjects stay.

    Parameters
    ----------
    source, target
        Scans without a transform, such as the training scans of two domains.
    """
    kept_source, kept_target = halve_subjects(set(source.subjects) & set(target.subjects))
    return _without(source, kept_target), _without(target, kept_source)


def _without(scans: ScanSet, subjects: frozenset[str]) -> ScanSet:
    return scans.subset([i for i, name in enumerate(scans.subjects) if name not in subjects])
