"""Names of NIfTI files and of the files beside them."""

from __future__ import annotations

import contextlib
import itertools
import re
from pathlib import Path

from harmbench.errors import UserError

_LOOKED_AT = 200  # files of a folder, to tell whether it is of DICOM


def beside(scan: Path, ending: str) -> Path:
    """Return the path of a scan with another ending in the place of `.nii` or `.nii.gz`."""
    return scan.with_name(re.sub(r"\.nii(\.gz)?$", "", scan.name) + ending)


def refuse_dicom(path: Path) -> None:
    """Say what to do with DICOM files instead.

    Parameters
    ----------
    path
        A file, or a folder of which the first files are looked at.

    Raises
    ------
    UserError
        If there is DICOM.
    """
    files = [path] if path.is_file() else (file for file in path.rglob("*") if file.is_file())
    for file in itertools.islice(files, _LOOKED_AT):
        with contextlib.suppress(OSError), file.open("rb") as stream:
            if stream.read(132)[128:] == b"DICM":
                raise UserError(
                    f"{path} holds DICOM ({file.name}); convert it to NIfTI with sidecars first: "
                    "dcm2niix -b y -z y -o OUT FOLDER"
                )
