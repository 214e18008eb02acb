"""Where the arrays of a prepared scan lie: one file for each scan and each kind of array."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

DTYPES: dict[str, type[np.generic]] = {
    "images": np.float32,
    "masks": np.bool_,
    "labels": np.uint8,
}


def array_path(folder: Path, name: str, row: int) -> Path:
    """Return the file of one array of a scan.

    Parameters
    ----------
    folder
        The domain's folder.
    name
        `"images"`, `"masks"` or `"labels"`.
    row
        Number of the scan in its domain.
    """
    return folder / name / f"{row:05d}.npy"


@dataclass(frozen=True)
class ScanFiles:
    """The files of one scan, and of no other.

    Attributes
    ----------
    images, masks
        Each `(S, H, W)`: float32 in [0, 1], and bool.
    labels
        `(S, H, W)` uint8, or None.
    """

    images: Path
    masks: Path
    labels: Path | None = None

    @classmethod
    def of(cls, folder: Path, row: int, *, labelled: bool) -> Self:
        """Return the files of a scan in a domain's folder."""
        labels = array_path(folder, "labels", row) if labelled else None
        return cls(array_path(folder, "images", row), array_path(folder, "masks", row), labels)


def read_scans(paths: Sequence[Path], name: str, shape: tuple[int, int, int]) -> npt.NDArray[Any]:
    """Read one array of N scans.

    Returns
    -------
    numpy.ndarray
        `(N, S, H, W)` of the type of that array.
    """
    values = np.empty((len(paths), *shape), DTYPES[name])
    for scan, path in zip(values, paths, strict=True):
        scan[:] = np.load(path)
    return values


def read_slices(
    paths: Sequence[Path], indices: Sequence[int], name: str, shape: tuple[int, int, int]
) -> npt.NDArray[Any]:
    """Read single slices of one array, without reading whole scans.

    Parameters
    ----------
    paths, indices
        File, and number of the slice in it, of each of B slices.
    name, shape
        Name of the array, and shape `(S, H, W)` of a scan.

    Returns
    -------
    numpy.ndarray
        `(B, H, W)` of the type of that array.
    """
    values = np.empty((len(paths), *shape[1:]), DTYPES[name])
    for image, path, index in zip(values, paths, indices, strict=True):
        with path.open("rb", buffering=0) as stream:
            # From the end, so that the header need not be parsed for every slice.
            stream.seek((index - shape[0]) * image.nbytes, os.SEEK_END)
            stream.readinto(image.data)
    return values
