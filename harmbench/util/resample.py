"""Sample an array on another lattice."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Affine = npt.NDArray[np.float64]


def resample(data: Array, affine: Affine, target: Affine, shape: tuple[int, int, int]) -> Array:
    """Sample an array on another lattice by one linear interpolation; zero outside it.

    Where the lattice is coarser than the array, each voxel is the mean of samples spread
    evenly over it, as in a scanner's own voxel, so that fine structure does not alias.

    Parameters
    ----------
    data, affine
        `(X, Y, Z)`, and the matrix `(4, 4)` from its voxel index to millimetres.
    target
        `(4, 4)`: from index on the lattice to the same millimetres.
    shape
        Shape of the lattice.
    """
    from scipy import ndimage

    matrix = np.linalg.inv(affine) @ target
    steps = np.linalg.norm(matrix[:3, :3], axis=0)  # in voxels of the array
    counts = np.maximum(1, np.rint(steps)).astype(int)
    spread = np.diag([*1 / counts, 1.0])
    spread[:3, 3] = (1 / counts - 1) / 2
    matrix = matrix @ spread
    samples = ndimage.affine_transform(
        data,
        matrix[:3, :3],
        matrix[:3, 3],
        output_shape=tuple(np.multiply(shape, counts)),
        output=np.float32,
        order=1,
        mode="grid-constant",  # fades to zero over the outermost voxel instead of dropping it
    )
    x, y, z = shape
    a, b, c = counts
    mean: Array = samples.reshape(x, a, y, b, z, c).mean(axis=(1, 3, 5))
    return mean


def resample_inside(
    data: Array,
    mask: npt.NDArray[np.bool_],
    affine: Affine,
    target: Affine,
    shape: tuple[int, int, int],
) -> tuple[Array, Array]:
    """Sample the part of an array inside a mask on another lattice.

    A voxel at the edge of the mask is the mean over the part of it that lies inside, so that
    the edge is not darkened.

    Parameters
    ----------
    data, mask, affine
        `(X, Y, Z)`, zero outside the mask; the mask; and the matrix to millimetres.
    target, shape
        As of `resample`.

    Returns
    -------
    values, fraction
        Of the shape of the lattice: the sampled values, and the fraction of each voxel inside
        the mask. Values are too small where the fraction is below one half.
    """
    fraction = resample(mask.astype(np.float32), affine, target, shape)
    values = resample(data, affine, target, shape) / np.maximum(fraction, np.float32(0.5))
    return values.astype(np.float32, copy=False), fraction
