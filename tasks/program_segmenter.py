"""Instruments that are programs outside harmbench: SynthSeg and FastSurfer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from harmbench import Grid, Scans, SegmentationProgram

from .tissue_instrument import TISSUES, TissueInstrument

_PROGRAMS = Path(__file__).parent / "programs"


class ProgramSegmenter(TissueInstrument):
    """Finds three tissues by an installed program; it learns nothing.

    A subclass sets `program`, whose file names the labels of `csf`, `gm` and `wm`.

    Attributes
    ----------
    program
        The program. It runs once for every scan, on the scan as it lies on the scoring grid.
    """

    on_slices = False
    program: ClassVar[SegmentationProgram]

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        file = cls.program.file
        if list(file.tissues) != list(TISSUES):
            raise ValueError(f"{file.name}: tissues must be {', '.join(TISSUES)}, in this order")
        cls.name, cls.summary, cls.version = file.name, file.summary, file.version
        if cls.program.absent is None:
            # With the identity: a changed program is another version.
            cls.version += f" ({cls.program.identity[:12]})"

    def __init__(self, grid: Grid, config: Any = None) -> None:
        super().__init__(grid, config)
        # Empty; it is moved to the device with the instrument, and so tells which one that is.
        self.register_buffer("_device_mark", torch.empty(0), persistent=False)

    @property
    def digest(self) -> str:
        """Content hash of the program."""
        return self.program.identity

    @torch.no_grad()
    def segmented(self, scans: Scans) -> tuple[Scans, Tensor]:
        """Run the program on N scans; see `forward` and `probabilities`.

        Raises
        ------
        UserError
            If the program fails on a scan.
        """
        shares = [
            torch.from_numpy(
                self.program.segment(
                    image.cpu().numpy(), mask.cpu().numpy(), self.grid, self.device
                )
            )
            for image, mask in zip(scans.images, scans.masks, strict=True)
        ]
        empty = scans.images.new_zeros(0, len(TISSUES), *self.grid.shape)
        tissues = torch.stack(shares).to(scans.images.device) if shares else empty
        background = 1 - tissues.sum(dim=1, keepdim=True)
        predicted = torch.cat((background, tissues), dim=1).argmax(dim=1)
        return replace(scans, predicted=predicted.to(torch.uint8) * scans.masks), tissues


class SynthSeg(ProgramSegmenter):
    """FreeSurfer's SynthSeg (Billot et al., Med Image Anal 2023;86:102789)."""

    program = SegmentationProgram.read(_PROGRAMS / "synthseg.toml")


class FastSurfer(ProgramSegmenter):
    """FastSurfer's segmentation (Henschel et al., NeuroImage 2020;219:117012)."""

    program = SegmentationProgram.read(_PROGRAMS / "fastsurfer.toml")
