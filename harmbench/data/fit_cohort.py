"""A cohort whose scans are all tested, with another cohort for the fits."""

from __future__ import annotations

from typing import Self

from harmbench.data.cohort import Cohort
from harmbench.data.scan_set import ScanSet
from harmbench.errors import UserError
from harmbench.util.name_list import first_names


class CrossCohort(Cohort):
    """The scans of one cohort, all of test subjects; training scans are those of another cohort.

    Parameters
    ----------
    tested
        The cohort that is tested, with the target that scans are compared with.
    fit_cohort
        The cohort whose training and validation scans of its own target stand for those of the
        target. It has no scans of the sources of `tested`.
    """

    fit_cohort: Cohort

    def __init__(self, tested: Cohort, fit_cohort: Cohort) -> None:
        # Everything but the split is that of the cohort that is tested; no folder is read.
        vars(self).update(vars(tested.with_splits(tested.table.assign(split="test"), "test")))
        self.fit_cohort = fit_cohort

    def scans(self, domain: str, split: str | None = None, *, labelled: bool = False) -> ScanSet:
        """Return scans as `Cohort.scans` does; to learn from, those of the fit cohort's target."""
        if domain == self.target and split in ("train", "validation"):
            fits = self.fit_cohort
            return fits.scans(fits.target, split, labelled=labelled)
        return super().scans(domain, split, labelled=labelled)

    def with_splits(self, table: object, split: str, fold: int = 0) -> Self:
        """Refuse other splits: every subject is tested."""
        raise TypeError("every subject of a cohort with a fit cohort is a test subject")


def crossed(tested: Cohort, fit_cohort: Cohort) -> CrossCohort:
    """Return a cohort that is tested by fits on another one.

    Raises
    ------
    UserError
        If a scan to learn from is a scan of the cohort that is tested.
    """
    learnt = fit_cohort.table[fit_cohort.table["split"] != "test"]
    shared = learnt[learnt["key"].isin(set(tested.table["key"]))]
    if len(shared):
        names = [f"{scan.subject}/{scan.session}" for scan in shared.itertuples()]
        raise UserError(
            f"{len(names)} scans that fits on cohort '{fit_cohort.name}' learn from are test scans "
            f"of cohort '{tested.name}': {first_names(names)}; choose cohorts without common scans"
        )
    return CrossCohort(tested, fit_cohort)
