"""The data that a model is fitted on."""

from __future__ import annotations

from dataclasses import dataclass

from harmbench.contracts.needs import Needs
from harmbench.data.scan_set import ScanSet
from harmbench.data.scans import Grid
from harmbench.errors import BlindnessError, SharedSubjectsError
from harmbench.util.hashing import digest


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
    """

    target: ScanSet
    validation: ScanSet
    seed: int
    _source: ScanSet | None = None
    _pairs: tuple[ScanSet, ScanSet] | None = None
    _labelled: tuple[ScanSet, ScanSet] | None = None

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

    def restricted(self, needs: Needs) -> FitData:
        """Return the part that `needs` entitles to; the rest is not in the object at all.

        Raises
        ------
        SharedSubjectsError
            If source and target share a subject, unless the method declares `Needs.PAIRED`.
        """
        paired = needs is Needs.PAIRED
        if needs is Needs.UNPAIRED:
            self._check_subjects()
        source = self._source if paired or needs is Needs.UNPAIRED else None
        pairs = self._pairs if paired else None
        return FitData(
            target=self.target.without_labels(),
            validation=self.validation.without_labels(),
            seed=self.seed,
            _source=source and source.without_labels(),
            _pairs=pairs and (pairs[0].without_labels(), pairs[1].without_labels()),
        )

    @property
    def shared_subjects(self) -> tuple[str, ...]:
        """Subjects with source scans and with target scans to train on or to validate on."""
        source = () if self._source is None else self._source.subjects
        return tuple(sorted({*source} & {*self.target.subjects, *self.validation.subjects}))

    def _check_subjects(self) -> None:
        shared = self.shared_subjects
        if shared:
            more = f" and {len(shared) - 3} more" if len(shared) > 3 else ""
            raise SharedSubjectsError(
                f"source and target share the subjects {', '.join(shared[:3])}{more}; "
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
        return digest("fit data", self.target.digest, self.validation.digest, source, pairs)

    @property
    def code(self) -> str:
        """Hash of the code of the scans' transforms."""
        scan_sets = (self.target, self.validation, self._source, *(self._pairs or ()))
        return digest([None if scans is None else scans.code for scans in scan_sets])
