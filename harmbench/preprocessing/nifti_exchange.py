"""Read the NIfTI files that programs outside harmbench write for a scan."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from harmbench.data.volumes import Affine, Array
from harmbench.errors import BadScanError
from harmbench.preprocessing.geometry import displacement
from harmbench.preprocessing.nifti_read import load_volume

# A program may round an affine to float32 in its own way; a real shift is larger.
_MOST_SHIFT = 0.01  # of a voxel


def read_exchange(path: Path, like: Array, affine: Affine) -> Array:
    """Read the result that a program wrote for a volume.

    The program may store the axes in another order or direction.

    Parameters
    ----------
    path
        The file of the result.
    like, affine
        `(X, Y, Z)` and `(4, 4)`: the volume that the program received.

    Returns
    -------
    numpy.ndarray
        `(X, Y, Z)` float32, finite, on the voxels of `like`.

    Raises
    ------
    BadScanError
        If the file is missing or cannot be read, if a value is not finite, or if the voxels are
        not those of `like`.
    """
    volume = load_volume(path)
    if volume.facts.undefined is not None:
        count = np.count_nonzero(volume.facts.undefined)
        raise BadScanError(
            f"the output {path.name} has non-finite voxels (NaN or infinity): {count}"
        )
    if volume.data.shape != like.shape:
        raise BadScanError(
            f"the output {path.name} has shape {volume.data.shape}, and the input has "
            f"{like.shape}; write the output on the voxels of the input"
        )
    shift = displacement(volume.affine, affine, like.shape)
    if shift > _MOST_SHIFT * min(np.linalg.norm(affine[:3, :3], axis=0)):
        raise BadScanError(
            f"the output {path.name} is shifted from its input by up to {shift:.2g} mm; keep the "
            "affine of the input"
        )
    return volume.data
