"""Names of NIfTI files and of the files next to them."""

from __future__ import annotations

import contextlib
import itertools
import re
from pathlib import Path

from harmbench.errors import UserError

_MAX_FILES_CHECKED = 200  # in a folder, when looking for DICOM


# Endings of the image files that are read. The header file `.hdr` of a pair belongs to `.img`.
VOLUME_ENDING = re.compile(r"\.(nii(\.gz|\.bz2)?|mgz|mgh|(img|hdr)(\.gz|\.bz2)?)$", re.IGNORECASE)


def is_volume(path: Path) -> bool:
    """Return whether the name is that of an image file; a pair counts once, by its `.img`."""
    return VOLUME_ENDING.search(path.name) is not None and ".hdr" not in path.suffixes[-2:]


def with_ending(scan: Path, ending: str) -> Path:
    """Replace the ending of a scan's path, such as `.nii.gz` or `.mgz`, by another."""
    return scan.with_name(VOLUME_ENDING.sub("", scan.name) + ending)


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
