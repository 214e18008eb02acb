"""Brain extraction by an installed program: SynthStrip or HD-BET.

SynthStrip (Hoopes et al., NeuroImage 2022;260:119474) is FreeSurfer's `mri_synthstrip`, and
HD-BET (Isensee et al., Hum Brain Mapp 2019;40:4952-4964) is `hd-bet`, version 2 or later.
"""

from __future__ import annotations

import signal
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harmbench.data.prepare_options import SYNTHSTRIP
from harmbench.errors import BadScanError
from harmbench.preprocessing.brain_tools import Extractor, ToolError
from harmbench.preprocessing.nifti_create import nifti_file
from harmbench.preprocessing.nifti_read import Volume, load_labels

# HD-BET takes minutes a scan on one core. Every process that prepares scans waits for a program.
_TIMEOUT_SECONDS = 3600.0
_MAX_OUTPUT = 200  # characters of a failed program's output that the error quotes


def program_mask(extractor: Extractor, volume: Volume, name: str) -> npt.NDArray[np.bool_]:
    """Run a program on a volume.

    The program reads a copy of the volume, so that it need not support the scan's file format.

    Parameters
    ----------
    extractor
        The program.
    volume, name
        The volume, and the name of its scan for messages.

    Returns
    -------
    numpy.ndarray
        `(X, Y, Z)` bool: the brain mask on the voxels of `volume`.

    Raises
    ------
    ToolError
        If the program fails, does not end within an hour, or writes no mask on the voxels of the
        volume.
    """
    # A child of a program that was ended may still write into the folder.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        source = folder / "scan.nii.gz"  # HD-BET reads compressed files only
        source.write_bytes(nifti_file(volume.data, volume.affine))
        mask = _run(extractor, source, name)
        try:
            return load_labels(mask, volume).data > 0
        except BadScanError as error:
            reason = str(error).replace(f"{folder}/", "")
            raise ToolError(f"{extractor.title} wrote no valid mask of {name}: {reason}") from error


def _run(extractor: Extractor, source: Path, name: str) -> Path:
    """Run a program on a file and return the path of its mask."""
    folder = source.parent
    command = [str(extractor.program), "-i", str(source)]
    if extractor.name == SYNTHSTRIP:
        mask = folder / "mask.nii.gz"
        command += ["-m", str(mask)]
    else:
        mask = folder / "brain_bet.nii.gz"
        command += ["-o", str(folder / "brain.nii.gz"), "--save_bet_mask", "--no_bet_image"]
        command += _device()
    try:
        process = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ToolError(
            f"{extractor.title} did not end within {_TIMEOUT_SECONDS / 3600:.2g} h on {name}"
        ) from error
    except OSError as error:
        raise ToolError(f"{extractor.title} cannot be started: {error.strerror}") from error
    killed = _killed_by(process.returncode)
    if killed is not None:
        raise ToolError(f"{extractor.title} was killed on {name} ({killed})")
    if process.returncode != 0 or not mask.is_file():
        output = (process.stderr.strip() or process.stdout.strip()).decode(errors="replace")
        last = output.splitlines()[-1][-_MAX_OUTPUT:] if output else "no output"
        code = f"exit code {process.returncode}" if process.returncode else "no mask written"
        raise ToolError(f"{extractor.title} failed on {name} ({code}): {last}")
    return mask


def _killed_by(code: int) -> str | None:
    """Name the signal that ended a program, and its likely cause; None if it ended by itself."""
    # A shell script, such as FreeSurfer's mri_synthstrip, returns 128 + N for signal N.
    number = -code if code < 0 else code - 128
    if number <= 0 or number not in {*signal.Signals}:
        return None
    reason = signal.Signals(number).name
    if number == getattr(signal, "SIGKILL", None):
        reason += ", most likely for lack of memory; free memory and run the command again"
    return reason


def _device() -> tuple[str, ...]:
    """Return HD-BET's device options; its default is a GPU, available or not."""
    import torch

    return () if torch.cuda.is_available() else ("-device", "cpu", "--disable_tta")
