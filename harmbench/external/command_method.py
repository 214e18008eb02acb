"""A method that is a program or a container: it receives NIfTI files and writes NIfTI files."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from harmbench.contracts.fit_data import FitData
from harmbench.contracts.fit_progress import FitProgress
from harmbench.contracts.volume_method import VolumeMethod
from harmbench.data.scans import Grid
from harmbench.data.volumes import Array, VolumeScan, VolumeSet
from harmbench.errors import BadScanError, CommandError
from harmbench.external.packed_folder import packed, unpack
from harmbench.external.process import LOG, CommandFault
from harmbench.external.program import Program
from harmbench.external.program_run import run_program, scratch_folder
from harmbench.external.scan_folders import file_names, write_scan, write_training_scans
from harmbench.preprocessing.nifti_exchange import read_exchange

# In the folder of a fit: what the command wrote, the scan of the target, and the seed.
_MODEL, _REFERENCE, _SEED = "model", "reference.nii.gz", "seed"


class CommandMethod(VolumeMethod):
    """A method whose fit and application are commands of a TOML file.

    The state of a fit is the folder that the fit command wrote, and the scan of the target that the
    command receives as `{reference}`: the first training scan.

    Attributes
    ----------
    program
        The commands.
    """

    program: ClassVar[Program]

    def __init__(self, grid: Grid, config: Any = None) -> None:
        super().__init__(grid, config)
        # Empty; it is moved to the device with the method, and so tells which one that is.
        self.register_buffer("_device_mark", torch.empty(0), persistent=False)
        # The harness seeds torch before it builds a method.
        self._seed = int(torch.randint(2**31 - 1, ()))
        self._state = torch.empty(0, dtype=torch.uint8)
        self._state_folder: Path | None = None
        self._outputs: Mapping[tuple[str, str], Path] = {}

    def get_extra_state(self) -> Tensor:
        """Return the fit as bytes: torch stores it with parameters and buffers."""
        return self._state

    def set_extra_state(self, state: Tensor) -> None:
        """Take over a stored fit."""
        self._state = state.cpu()
        self._state_folder = None

    def fit(self, data: FitData, progress: FitProgress) -> None:
        """Write the training scans, run the fit command, and keep what it wrote.

        Raises
        ------
        CommandError
            If the command fails, or writes nothing.
        """
        with scratch_folder() as scratch:
            state = scratch / "state"
            (state / _MODEL).mkdir(parents=True)
            (state / _SEED).write_text(str(data.seed))
            if self.program.file.uses_reference:
                scan = data.target.volumes(self.space)[0]
                write_scan(scan, state / _REFERENCE, scratch / "mask.nii.gz", self.space)
            if self.program.file.fit is not None:
                self._run_fit(data, progress, scratch, state / _MODEL)
            self.set_extra_state(packed(state))

    def _run_fit(self, data: FitData, progress: FitProgress, scratch: Path, model: Path) -> None:
        images, masks = scratch / "training", scratch / "masks"
        write_training_scans(data, self.needs, self.space, images, masks, progress)
        values = {
            "input_folder": images,
            "mask_folder": masks,
            "model": model,
            "seed": data.seed,
        }
        try:
            self._run(self.program.fit, values, scratch, self.program.file.fit_timeout)
        except CommandFault as fault:
            raise CommandError("", "", f"fit: {fault}") from fault
        if not any(model.iterdir()):
            raise CommandError("", "", "fit: the command wrote no file into {model}")

    @contextmanager
    def together(self, scans: VolumeSet) -> Iterator[None]:
        """Run a command that works on folders once for all scans.

        If that fails, `harmonize` runs it on each scan, so that only some of them fail.
        """
        if not self.program.file.per_folder or not len(scans):
            yield
            return
        with scratch_folder() as scratch:
            try:
                self._outputs = self._run_on_folder(scans, scratch)
            except CommandError as error:
                LOG.warning("%s; continuing scan by scan", error)
            try:
                yield
            finally:
                self._outputs = {}

    def harmonize(self, scan: VolumeScan) -> Array:
        """Run the command on one scan, or read its output inside `together`.

        Raises
        ------
        CommandError
            If the command fails, or its output is missing, or is not finite, or is not on the
            voxels of the scan.
        """
        output = self._outputs.get((scan.subject, scan.session))
        if output is not None:
            return _read(output, scan)
        with scratch_folder() as scratch:
            if self.program.file.per_folder:
                output = self._run_on_one(scan, scratch)
            else:
                output = self._run_on_scan(scan, scratch)
            return _read(output, scan)

    def _run_on_scan(self, scan: VolumeScan, scratch: Path) -> Path:
        (name,) = file_names([(scan.subject, scan.session)])
        image, mask, output = (scratch / part / name for part in ("input", "mask", "output"))
        write_scan(scan, image, mask, self.space)
        output.parent.mkdir()
        values = {"input": image, "mask": mask, "output": output, **self._fitted_values()}
        try:
            self._run(self.program.apply, values, scratch, self.program.file.timeout)
        except CommandFault as fault:
            raise CommandError(scan.subject, scan.session, str(fault)) from fault
        return output

    def _run_on_one(self, scan: VolumeScan, scratch: Path) -> Path:
        """Run a command that works on folders on one scan."""
        try:
            (output,) = self._run_on_folder([scan], scratch).values()
        except CommandError as error:
            raise CommandError(scan.subject, scan.session, error.reason) from error
        return output

    def _run_on_folder(
        self, scans: VolumeSet | list[VolumeScan], scratch: Path
    ) -> dict[tuple[str, str], Path]:
        """Run the command on a folder; return where the output of each scan is expected.

        Of two scans with equal names, the second is left out: it gets a call of its own.
        """
        images, masks, results = (scratch / part for part in ("input", "mask", "output"))
        outputs: dict[tuple[str, str], Path] = {}
        for scan in scans:
            key = (scan.subject, scan.session)
            (name,) = file_names([key])
            if results / name not in outputs.values():
                write_scan(scan, images / name, masks / name, self.space)
                outputs[key] = results / name
        results.mkdir()
        values = {"input_folder": images, "mask_folder": masks, "output_folder": results}
        timeout = self.program.file.timeout * len(outputs)
        try:
            self._run(self.program.apply, values | self._fitted_values(), scratch, timeout)
        except CommandFault as fault:
            raise CommandError("", "", str(fault)) from fault
        return outputs

    def _fitted_values(self) -> dict[str, object]:
        """Return the values of the placeholders that a fit provides."""
        if not len(self._state):
            return {"seed": self._seed}
        if self._state_folder is None:
            self._state_folder = Path(tempfile.mkdtemp(prefix="harmbench-model-"))
            weakref.finalize(self, shutil.rmtree, self._state_folder, ignore_errors=True)
            unpack(self._state, self._state_folder)
        folder = self._state_folder
        return {
            "model": folder / _MODEL,
            "reference": folder / _REFERENCE,
            "seed": (folder / _SEED).read_text(),
        }

    def _run(
        self, command: list[str], values: Mapping[str, object], scratch: Path, timeout: float
    ) -> None:
        run_program(
            self.program,
            command,
            values,
            device=self.device,
            folder=scratch,
            timeout=timeout,
            removed=[] if self._state_folder is None else [self._state_folder],
        )


def _read(output: Path, scan: VolumeScan) -> Array:
    if not output.is_file():
        written = sorted(path.name for path in output.parent.iterdir())
        there = f"; it wrote {', '.join(written[:3])}" if written else ""
        raise CommandError(
            scan.subject, scan.session, f"the command wrote no output {output.name}{there}"
        )
    try:
        return read_exchange(output, scan.image, scan.affine)
    except BadScanError as error:
        raise CommandError(scan.subject, scan.session, str(error)) from error
