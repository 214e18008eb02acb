"""The contract of a cohort source: where scans come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from harmbench.data.cohort_writer import CohortWriter, ScanRecord
from harmbench.data.prepare_options import (
    DEFAULT_PREPARE_OPTIONS,
    MINMAX,
    PrepareOptions,
)
from harmbench.data.scans import Grid
from harmbench.data.volumes import VolumeSource
from harmbench.errors import UserError
from harmbench.util.progress import Progress


class CohortSource(ABC):
    """A place that scans come from, such as the phantom or a BIDS folder.

    A plugin registers one under a name by the hook `register_cohorts`; on the command
    line it is `--cohort NAME` or `--cohort NAME:ARGUMENT`.

    Parameters
    ----------
    argument
        What follows the colon, or None.
    recipe
        Path of the recipe given by `--recipe`, or None.
    normalization
        Name of the normalisation to use, one of `normalizations`. Unless it is `"minmax"`,
        it is part of `key` and of the key of each scan.
    prepare_options
        How volumes are prepared; other than the default only if `from_volumes`.

    Attributes
    ----------
    name, summary
        The registered name, and a description in one line.
    target, sources
        Names of the target domain and of the source domains.
    normalizations
        Names of the normalisations that it can prepare its scans by.
    default_normalization
        The normalisation that the preset uses without a choice; `label` does not name it.
    from_volumes
        Whether scans are prepared from volumes on disk, so that `prepare_options` apply.

    Raises
    ------
    UserError
        If the source cannot be prepared this way.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    normalizations: ClassVar[tuple[str, ...]] = (MINMAX,)
    from_volumes: ClassVar[bool] = False
    default_normalization: str = MINMAX
    target: str
    sources: tuple[str, ...]

    def __init__(
        self,
        argument: str | None = None,
        recipe: Path | None = None,
        *,
        normalization: str = MINMAX,
        prepare_options: PrepareOptions = DEFAULT_PREPARE_OPTIONS,
    ) -> None:
        if normalization not in self.normalizations:
            raise UserError.unknown(
                f"normalisation of the cohort '{self.name}'", normalization, self.normalizations
            )
        if prepare_options.labels and not self.from_volumes:
            raise UserError(
                f"the cohort '{self.name}' is not prepared from volumes: leave out "
                "--no-brain-mask and --n4"
            )
        self.normalization = normalization
        self.prepare_options = prepare_options

    @property
    def title(self) -> str:
        """Name of the cohort in tables; independent of the path of its files."""
        return self.name

    @property
    def label(self) -> str:
        """The title, with the preparation if it is not the default: `phantom+nyul`."""
        chosen = self.normalization
        normalized = () if chosen == self.default_normalization else (chosen,)
        return "+".join((self.title, *normalized, *self.prepare_options.labels))

    @abstractmethod
    def key(self, grid: Grid, home: Path) -> str:
        """Hash everything that the prepared cohort depends on, its files' content included.

        Parameters
        ----------
        grid
            The grid to prepare scans on.
        home
            Home folder, for caches; the key does not depend on it.
        """

    @abstractmethod
    def prepare(self, grid: Grid, home: Path, writer: CohortWriter, progress: Progress) -> None:
        """Prepare every scan into `writer`; called once for a key.

        Parameters
        ----------
        grid, home
            As in `key`.
        writer
            Receives the arrays, the records and the description of the cohort.
        progress
            Shows the progress.

        Raises
        ------
        UserError
            If too few usable scans remain for a cohort.
        """

    def volume(
        self, scan: ScanRecord, standard: Sequence[float], grid: Grid, home: Path
    ) -> VolumeSource | None:
        """Return a whole scan, for methods that work on volumes.

        Parameters
        ----------
        scan
            A row of the prepared cohort.
        standard
            The standard of a learned normalisation, or `()`.
        grid, home
            As in `key`.

        Returns
        -------
        VolumeSource or None
            None if there is no volume but the prepared slices.
        """
        return None

    def t2_weighted(self, subject: str, grid: Grid) -> Tensor | None:
        """Return a T2-weighted image of a subject, prepared as the target's scan of that subject.

        No task uses it: it is the case that methods for one contrast must fail on. Most
        cohorts have none.

        Returns
        -------
        Tensor or None
            `(S, H, W)` float32 in [0, 1], in the same space as that scan.
        """
        return None
