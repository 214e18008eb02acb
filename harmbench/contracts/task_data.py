"""The data that a task selects from a cohort."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harmbench.contracts.fit_data import FitData
from harmbench.contracts.needs import Needs
from harmbench.data.scan_set import ScanSet


@dataclass(frozen=True, kw_only=True)
class TaskData:
    """The data that a task uses.

    Attributes
    ----------
    target, validation
        Scans of the target domain for fitting, and for model selection.
    test
        Source scans to harmonise, of subjects outside all fits.
    references
        The truth of each test scan, in the same order, or None where it is unknown.
    no_references
        Why the task has no truth, shown when `oracle` is skipped; `no_pairs` if empty.
    repeats
        A repeat of each test scan's subject on the target scanner, in the same space and order,
        or None: what the control `rescan` returns.
    no_repeats
        Why there are no repeats, shown when `rescan` is skipped.
    source
        Training scans of the source domain, for methods that need them; of no subject with
        scans in `target` or `validation` (`harmbench.disjoint_subjects`).
    pairs
        Training scans of the same subjects in source and target, or None. They may be of all
        training subjects.
    no_pairs
        Reason for missing pairs, shown when a paired method is skipped.
    sites
        Training scans of all domains by name, of which no two share a subject, for methods that
        declare `Needs.SITES`. If None, those of the cohort (`harmbench.training_sites`), so that
        all tasks of a cohort share one fit.
    test_site
        Name of the domain of `test`, a key of `sites` unless `unseen`; that of the scans if empty.
    unseen
        Whether the task tests a site that it leaves out of `sites`. Other methods than those that
        declare `Needs.SITES` are skipped.
    unknown_site
        Whether the domain of `test` is a site of another cohort than that of `sites`. Every method
        is tested on it.
    labelled
        The target's training and validation scans that have labels, for instruments; None if
        instruments use `target` and `validation`.
    extra
        Other scans that the scorer needs, by name.
    parameters
        Random draws and other facts to record, as JSON types.
    """

    target: ScanSet
    validation: ScanSet
    test: ScanSet
    references: ScanSet | None = None
    no_references: str = ""
    repeats: ScanSet | None = None
    no_repeats: str = "the task has no repeat scans"
    source: ScanSet | None = None
    pairs: tuple[ScanSet, ScanSet] | None = None
    no_pairs: str = "the cohort has no subject scanned on both scanners"
    sites: Mapping[str, ScanSet] | None = None
    test_site: str = ""
    unseen: bool = False
    unknown_site: bool = False
    labelled: tuple[ScanSet, ScanSet] | None = None
    extra: Mapping[str, ScanSet] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def shown(self, needs: Needs) -> ScanSet | None:
        """Return the target scans of the test subjects that a control is given, or None."""
        return {Needs.REPEAT: self.repeats, Needs.TRUTH: self.references}.get(needs)

    def of_test_scans(self, places: Sequence[int]) -> TaskData:
        """Return the data with the test scans at `places` only.

        Truth, repeats, and extra scans of the same subjects in the same order follow them.
        """

        def chosen(scans: ScanSet | None) -> ScanSet | None:
            return None if scans is None else scans.subset(places)

        subjects = self.test.subjects
        return replace(
            self,
            test=self.test.subset(places),
            references=chosen(self.references),
            repeats=chosen(self.repeats),
            extra={
                name: scans.subset(places) if scans.subjects == subjects else scans
                for name, scans in self.extra.items()
            },
        )

    @property
    def domain(self) -> str:
        """Name of the domain of the test scans."""
        return self.test_site or self.test.domain

    def fit_data(self, seed: int) -> FitData:
        """Return the fit data, before it is restricted to what a model is entitled to."""
        return FitData(
            target=self.target,
            validation=self.validation,
            seed=seed,
            _source=self.source,
            _pairs=self.pairs,
            target_site=self.target.domain,
            _labelled=self.labelled,
            _sites=self.sites,
        )
