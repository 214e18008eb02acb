"""Source and target scans of different subjects."""

from __future__ import annotations

from collections.abc import Iterable

from harmbench.data.cohort import Cohort
from harmbench.data.scan_set import ScanSet
from harmbench.data.splits import halve_subjects


def disjoint_subjects(
    source: ScanSet, target: ScanSet, other_sources: Iterable[ScanSet] = ()
) -> tuple[ScanSet, ScanSet]:
    """Return source and target scans that share no subject.

    Subjects with scans of the target and of a source are divided by `halve_subjects`: of one
    half the source scans stay, of the other half the target scans. Scans of all other subjects
    stay.

    Parameters
    ----------
    source, target
        Scans without a transform, such as the training scans of two domains.
    other_sources
        Scans of other source domains. Their subjects are divided too, so that the target scans
        are the same for every source, and one fit of a blind method serves all of them.
    """
    of_sources = {subject for scans in (source, *other_sources) for subject in scans.subjects}
    of_target = set(target.subjects)
    source_half, _ = halve_subjects(of_sources & of_target)
    return _without(source, of_target - source_half), _without(target, source_half)


def training_scans(cohort: Cohort, source: str) -> tuple[ScanSet, ScanSet]:
    """Return training scans of a source and of the target that share no subject.

    The target scans are the same for every source of the cohort, so that one fit of a blind method
    serves all of them. With a fit cohort they are those of its own tasks, and the source has none.

    Parameters
    ----------
    cohort, source
        The cohort, and the name of the source domain.
    """
    own = cohort.scans(source, "train")
    fits = cohort.fit_cohort or cohort
    others = [
        fits.scans(name, "train") for name in fits.sources if fits is not cohort or name != source
    ]
    kept, target = disjoint_subjects(own, fits.scans(fits.target, "train"), others)
    return (own if fits is not cohort else kept), target


def _without(scans: ScanSet, subjects: Iterable[str]) -> ScanSet:
    excluded = set(subjects)
    return scans.subset([i for i, name in enumerate(scans.subjects) if name not in excluded])
