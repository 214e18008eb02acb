"""Names of NIfTI files and of the files next to them."""

from __future__ import annotations

import contextlib
import itertools
import re
from pathlib import Path

from harmbench.errors import UserError

_MAX_FILES_CHECKED = 200  # in a folder, when looking for DICOM


def with_ending(scan: Path, ending: str) -> Path:
    """Replace the ending `.nii` or `.nii.gz` of a scan's path by another."""
    return scan.with_name(re.sub(r"\.nii(\.gz)?$", "", scan.name) + ending)


def refuse_dicom(path: Path) -> None:
    """Raise an error with conversion advice if a path contains DICOM.

    Parameters
    ----------
    path
        A file, or a folder of which the first 200 files are checked.

    Raises
    ------
    UserError
        If there is a DICOM file.
    """
    files = [path] if path.is_file() else (file for file in path.rglob("*") if file.is_file())
    for file in itertools.islice(files, _MAX_FILES_CHECKED):
        with contextlib.suppress(OSError), file.open("rb") as stream:
            if stream.read(132)[128:] == b"DICM":
                raise UserError(
                    f"{path} contains DICOM ({file.name}); convert it to NIfTI with sidecars "
                    "first: dcm2niix -b y -z y -o OUT FOLDER"
                )
