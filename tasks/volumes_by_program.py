"""Volumes of tissues, by programs that are used in studies."""

from __future__ import annotations

from typing import Any, ClassVar

from harmbench import Cohort, SkipCell, TaskData

from .program_segmenter import FastSurfer, ProgramSegmenter, SynthSeg
from .tissue_features import TISSUE_SEGMENTER
from .volumes import Volumes


class VolumesByProgram(Volumes):
    """As `Volumes`, but an installed program finds the tissues; skipped where it is absent.

    The program has seen neither the target nor the method, but it was made for other scans than
    brains on a coarse grid: its volumes are to be compared with each other, not with those of
    `Volumes`. It runs once for each test scan and for each training scan of the target.
    """

    segmenter: ClassVar[type[ProgramSegmenter]]

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        cls.instruments = {TISSUE_SEGMENTER: cls.segmenter}

    def __init__(self, source: str) -> None:
        super().__init__(source)
        self.name = f"volumes-{self.segmenter.name}-{source}"

    def setup(self, cohort: Cohort, seed: int) -> TaskData:
        """Choose the labelled test scans; nothing is random.

        Raises
        ------
        SkipCell
            If the program is not installed, or if source or target lack labels.
        """
        absent = self.segmenter.program.absent
        if absent is not None:
            raise SkipCell(absent)
        return super().setup(cohort, seed)


class VolumesBySynthSeg(VolumesByProgram):
    """Volumes of tissues by SynthSeg."""

    summary = "volumes of tissues on harmonised scans by SynthSeg, if it is installed"
    segmenter = SynthSeg


class VolumesByFastSurfer(VolumesByProgram):
    """Volumes of tissues by FastSurfer."""

    summary = "volumes of tissues on harmonised scans by FastSurfer, if it is installed"
    segmenter = FastSurfer
