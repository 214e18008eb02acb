"""Resampling a volume onto a grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harmbench.preprocessing.nifti_read import Affine, Array, Volume

if TYPE_CHECKING:
    from harmbench.data.scans import Grid


def resample(volume: Volume, target: Affine, shape: tuple[int, int, int]) -> Array:
    """Sample a volume on another lattice in one linear interpolation; zero outside it.

    Where the lattice is coarser than the volume, each of its voxels is the mean of
    samples spread evenly over the voxel, as a scanner's own voxel is, so that fine
    structure does not alias.

    Parameters
    ----------
    volume
        What to sample.
    target
        `(4, 4)`: from index on the lattice to the volume's millimetres.
    shape
        Of the lattice.
    """
    from scipy import ndimage

    matrix = np.linalg.inv(volume.affine) @ target
    steps = np.linalg.norm(matrix[:3, :3], axis=0)  # in voxels of the volume
    counts = np.maximum(1, np.rint(steps)).astype(int)
    spread = np.diag([*1 / counts, 1.0])
    spread[:3, 3] = (1 / counts - 1) / 2
    matrix = matrix @ spread
    fine = ndimage.affine_transform(
        volume.data,
        matrix[:3, :3],
        matrix[:3, 3],
        output_shape=tuple(np.multiply(shape, counts)),
        output=np.float32,
        order=1,
        mode="grid-constant",  # fades to zero over the last voxel's edge, and does not drop it
    )
    x, y, z = shape
    a, b, c = counts
    mean: Array = fine.reshape(x, a, y, b, z, c).mean(axis=(1, 3, 5))
    return mean


def grid_affine(grid: Grid) -> Affine:
    """Return the `(4, 4)` matrix from index (slice, row, column) to MNI152 x, y, z in mm."""
    ds, dh, dw = grid.spacing
    x, y, z = grid.origin
    return np.array([[0, dh, 0, x], [0, 0, dw, y], [ds, 0, 0, z], [0, 0, 0, 1]], dtype=np.float64)
