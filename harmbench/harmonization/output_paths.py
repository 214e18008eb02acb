"""Output paths of a scan, checked before anything is computed."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from harmbench.errors import UserError
from harmbench.preprocessing.file_names import VOLUME_ENDING, with_ending

_NIFTI = (".nii", ".nii.gz")


@dataclass(frozen=True)
class OutputPaths:
    """Paths of a scan's output files; a mask or figure that is None is not written."""

    scan: Path
    mask: Path | None
    figure: Path | None

    @property
    def sidecar(self) -> Path:
        """The JSON file next to the scan, which records how it was harmonised."""
        return with_ending(self.scan, ".json")


def check_scan_paths(scan: Path, brain_mask: Path | None, outputs: OutputPaths) -> None:
    """Check the paths of a single scan.

    Raises
    ------
    UserError
        If an output has the wrong ending, no folder, a folder that cannot be written to, or the
        name of a folder, of an input or of another output.
    """
    inputs = [path for path in (scan, brain_mask) if path is not None and path.exists()]
    named = (
        ("output", outputs.scan, _NIFTI),
        ("mask", outputs.mask, _NIFTI),
        ("figure", outputs.figure, (".png",)),
    )
    for name, path, endings in named:
        if path is None:
            continue
        if not path.name.endswith(endings):
            raise UserError(f"--{name} '{path}' must end in {' or '.join(endings)}")
        if not path.absolute().parent.is_dir():
            raise UserError(f"no folder '{path.parent}' to write --{name} to")
        if path.is_dir():
            raise UserError(f"--{name} '{path}' is a folder; give the name of a file")
        _check_writable(name, path)
        if path.exists() and any(path.samefile(given) for given in inputs):
            raise UserError(f"--{name} '{path}' is an input; give another name")
    paths = [path.absolute() for _, path, _ in named if path is not None]
    if len(set(paths)) < len(paths):
        raise UserError("--output, --mask and --figure must have different names")


def check_folder_paths(
    folder: Path, out: Path, *, brain_mask: Path | None, mask: Path | None, figure: Path | None
) -> None:
    """Check the paths of a folder of scans.

    Raises
    ------
    UserError
        If a path is given that is for a single scan, the output is a file or has the name of
        one, or it cannot be written.
    """
    for name, path in (("brain-mask", brain_mask), ("mask", mask), ("figure", figure)):
        if path is not None:
            raise UserError(f"--{name} is for a single scan, but '{folder}' is a folder")
    if out.exists() and not out.is_dir():
        raise UserError(f"'{folder}' is a folder, so --output must be a folder; '{out}' is a file")
    if VOLUME_ENDING.search(out.name) and not out.exists():
        raise UserError(
            f"'{folder}' is a folder, so --output must be a folder; '{out}' is the name of a file"
        )
    _check_writable("output", out / "file")


def _check_writable(name: str, path: Path) -> None:
    """Check that a file can be created at a path; its folder need not exist yet."""
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"--{name} cannot be written to '{folder}' ({error.strerror}); choose another folder"
        ) from error
