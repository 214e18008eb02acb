"""The data that a model is fitted on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harmbench.contracts.needs import Needs
from harmbench.data.scan_set import ScanSet
from harmbench.data.scans import Grid
from harmbench.errors import BlindnessError, SharedSubjectsError
from harmbench.util.hashing import digest
from harmbench.util.name_list import first_names


@dataclass(frozen=True, kw_only=True)
class FitData:
    """What a model is fitted on; it holds what the model is entitled to, no more.

    Attributes
    ----------
    target
        Training scans of the target domain.
    validation
        Scans of the target domain, of other subjects, to choose by; may be empty.
    seed
        Seed of the fit's random streams.
    target_site
        Name of the target domain in `sites`.
    """

    target: ScanSet
    validation: ScanSet
    seed: int
    target_site: str = ""
    _source: ScanSet | None = None
    _pairs: tuple[ScanSet, ScanSet] | None = None
    _labelled: tuple[ScanSet, ScanSet] | None = None
    _sites: Mapping[str, ScanSet] | None = None

    @property
    def grid(self) -> Grid:
        """The grid all scans lie on."""
        return self.target.grid

    @property
    def source(self) -> ScanSet:
        """Training scans of the source domain.

        Raises
        ------
        BlindnessError
            Unless the method declared `Needs.UNPAIRED` or `Needs.PAIRED`.
        """
        if self._source is None:
            raise BlindnessError(
                "the source domain was asked for by a method that declares not to need it; "
                "declare needs = Needs.UNPAIRED if it is no blind method"
            )
        return self._source

    @property
    def pairs(self) -> tuple[ScanSet, ScanSet]:
        """Source and target scans of the same subjects, in the same space and order.

        Raises
        ------
        BlindnessError
            Unless the method declared `Needs.PAIRED`.
        """
        if self._pairs is None:
            raise BlindnessError(
                "pairs were asked for by a method that declares not to need them; "
                "declare needs = Needs.PAIRED"
            )
        return self._pairs

    @property
    def sites(self) -> Mapping[str, ScanSet]:
        """Training scans of all domains, by domain; no two domains share a subject.

        `target` is one of them.

        Raises
        ------
        BlindnessError
            Unless the method declared `Needs.SITES`.
        """
        if self._sites is None:
            raise BlindnessError(
                "all sites were asked for by a method that declares not to need them; "
                "declare needs = Needs.SITES"
            )
        return self._sites

    def restricted(self, needs: Needs, covariates: Sequence[str] = ()) -> FitData:
        """Return the part that `needs` entitles to; the rest is not in the object at all.

        Parameters
        ----------
        needs
            As declared.
        covariates
            The covariates that scans come with; scans without a value of one are left out.

        Raises
        ------
        SharedSubjectsError
            If source and target, or two sites, share a subject, unless the method declares
            `Needs.PAIRED`.
        BlindnessError
            If a covariate was withheld by an earlier restriction.
        """

        def received(scans: ScanSet) -> ScanSet:
            return scans.complete(covariates).without_labels().with_covariates(covariates)

        paired = needs is Needs.PAIRED
        if needs is Needs.UNPAIRED:
            self._check_subjects()
        source = self._source if paired or needs is Needs.UNPAIRED else None
        target, sites = self.target, None
        if needs is Needs.SITES:
            complete = {name: received(scans) for name, scans in self.sites.items()}
            sites = {name: scans for name, scans in complete.items() if len(scans)}
            _check_sites(sites)
            # Other target scans may be of subjects that are assigned to other sites.
            target = self.sites[self.target_site]
        return FitData(
            target=received(target),
            validation=received(self.validation),
            seed=self.seed,
            target_site=self.target_site,
            _source=None if source is None else received(source),
            _pairs=_received_pairs(self._pairs, covariates) if paired else None,
            _sites=sites,
        )

    @property
    def shared_subjects(self) -> tuple[str, ...]:
        """Subjects with source scans and with target scans to train on or to validate on."""
        source = () if self._source is None else self._source.subjects
        return tuple(sorted({*source} & {*self.target.subjects, *self.validation.subjects}))

    def _check_subjects(self) -> None:
        shared = self.shared_subjects
        if shared:
            raise SharedSubjectsError(
                f"source and target share the subjects {first_names(shared, 3)}; "
                "divide them by harmbench.disjoint_subjects in Task.setup"
            )

    def of_target(self) -> FitData:
        """Return the target domain alone, with its labels, and those scans alone that have any."""
        target, validation = self._labelled or (self.target, self.validation)
        return FitData(target=target, validation=validation, seed=self.seed)

    @property
    def digest(self) -> str:
        """Content hash of the data, without the seed."""
        pairs = None if self._pairs is None else [side.digest for side in self._pairs]
        source = None if self._source is None else self._source.digest
        parts: list[Any] = ["fit data", self.target.digest, self.validation.digest, source, pairs]
        if self._sites is not None:
            parts.append({name: scans.digest for name, scans in self._sites.items()})
        return digest(*parts)

    @property
    def code(self) -> str:
        """Hash of the code of the scans' transforms."""
        sites = () if self._sites is None else tuple(self._sites.values())
        scan_sets = (self.target, self.validation, self._source, *(self._pairs or ()), *sites)
        return digest([None if scans is None else scans.code for scans in scan_sets])


def _check_sites(sites: Mapping[str, ScanSet]) -> None:
    """Raise an error if a subject has scans of two sites: it would be a pair."""
    site_of: dict[str, str] = {}
    for name, scans in sites.items():
        for subject in scans.subjects:
            if site_of.setdefault(subject, name) != name:
                raise SharedSubjectsError(
                    f"the sites '{site_of[subject]}' and '{name}' share the subject {subject}; "
                    "divide the subjects by harmbench.training_sites"
                )


def _received_pairs(
    pairs: tuple[ScanSet, ScanSet] | None, covariates: Sequence[str]
) -> tuple[ScanSet, ScanSet] | None:
    """Return the pairs of which both scans have all covariates, without labels."""
    if pairs is None:
        return None
    missing = {i for side in pairs for places in side.lacking(covariates).values() for i in places}
    places = [i for i in range(len(pairs[0])) if i not in missing]
    source, target = (
        side.subset(places).without_labels().with_covariates(covariates) for side in pairs
    )
    return source, target
