"""An installed program that segments scans, such as SynthSeg: an instrument of tasks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from harmbench.data.prepared_volume import slices_as_volume
from harmbench.data.scans import Grid
from harmbench.errors import BadScanError, UserError
from harmbench.external.process import CommandFault
from harmbench.external.program import Program
from harmbench.external.program_run import run_program, scratch_folder
from harmbench.external.segmentation_file import SegmentationFile, read_segmentation_file
from harmbench.preprocessing.nifti_create import nifti_file
from harmbench.preprocessing.nifti_read import load_volume
from harmbench.util.resample import resample

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class SegmentationProgram:
    """A program that finds tissues, described by a TOML file (`SegmentationFile`).

    Attributes
    ----------
    file
        The content of the TOML file.
    program
        The command, and what identifies it.
    """

    file: SegmentationFile
    program: Program

    @classmethod
    def read(cls, path: Path) -> SegmentationProgram:
        """Read a TOML file.

        Raises
        ------
        UserError
            In one line, if the file is wrong.
        """
        file = read_segmentation_file(path)
        return cls(file, Program(file=file, path=path.resolve()))

    @property
    def absent(self) -> str | None:
        """The reason why the program cannot run, in one line; None if it is installed."""
        first = self.program.apply[0]
        if "{" in first or self.program.found(first) is not None:
            return None
        return f"there is no program '{first}' on the PATH"

    @cached_property
    def identity(self) -> str:
        """Hash of everything that identifies the program; see `Program.identity`."""
        return self.program.identity

    def segment(
        self, image: Array, mask: npt.NDArray[np.bool_], grid: Grid, device: torch.device
    ) -> Array:
        """Find the tissues of one scan.

        Parameters
        ----------
        image, mask
            `(S, H, W)`: a scan in [0, 1], and its brain.
        grid
            The grid that it lies on.
        device
            What the program runs on.

        Returns
        -------
        numpy.ndarray
            `(T, S, H, W)` float32: the share of each voxel that belongs to each tissue of the
            file, in its order; 0 outside the brain.

        Raises
        ------
        UserError
            In one line, if the program fails, or if its result cannot be used.
        """
        with scratch_folder() as folder:
            result = self._run(image, mask, grid, device, folder)
            try:
                labels = load_volume(result)
            except BadScanError as error:
                raise UserError(f"{self.file.name}: {error}") from error
        shares = [
            resample(
                np.isin(labels.data, tissue).astype(np.float32),
                labels.affine,
                grid.affine,
                grid.shape,
            )
            for tissue in self.file.tissues.values()
        ]
        return np.stack(shares) * mask

    def _run(
        self,
        image: Array,
        mask: npt.NDArray[np.bool_],
        grid: Grid,
        device: torch.device,
        folder: Path,
    ) -> Path:
        """Run the program, and return the image of labels that it wrote."""
        files = {"input": folder / "input.nii.gz", "mask": folder / "mask.nii.gz"}
        for path, slices in ((files["input"], image), (files["mask"], mask)):
            path.write_bytes(nifti_file(*slices_as_volume(slices, grid), in_mni=True))
        output = folder / ("output.nii.gz" if self.file.result is None else "output")
        if self.file.result is not None:
            output.mkdir()
        try:
            run_program(
                self.program,
                self.program.apply,
                {**files, "output": output, "seed": 0},
                device=device,
                folder=folder,
                timeout=self.file.timeout,
            )
        except CommandFault as fault:
            raise UserError(f"{self.file.name}: {fault}") from fault
        result = output if self.file.result is None else output / self.file.result
        if not result.is_file():
            name = self.file.result or "{output}"
            raise UserError(f"{self.file.name}: the command did not write {name}")
        return result
