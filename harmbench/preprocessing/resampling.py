"""Step 4 of preprocessing: resample a brain and its labels onto the grid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harmbench.preprocessing.brain import Brain
from harmbench.preprocessing.nifti_read import Affine, Array, Volume

if TYPE_CHECKING:
    from harmbench.data.scans import Grid
    from harmbench.preprocessing.registration import Registration

Mask = npt.NDArray[np.bool_]


def resample_brain(brain: Brain, registration: Registration, grid: Grid) -> tuple[Array, Mask]:
    """Resample a brain onto a grid in MNI152.

    A voxel at the brain's edge is the mean over the part of it that is brain, so that the
    edge is not darkened; a voxel belongs to the brain if at least half of it does.

    Parameters
    ----------
    brain, registration
        The brain, and its transform from MNI152.
    grid
        The grid.

    Returns
    -------
    image, mask
        `(S, H, W)`: intensities on the scan's own scale, float32, zero outside the mask;
        and the brain, bool.
    """
    fraction = _onto_grid(brain.mask, brain, registration, grid)
    mask = fraction >= 0.5
    intensities = _onto_grid(brain.image.data, brain, registration, grid)
    image = np.where(mask, intensities / np.maximum(fraction, 0.5), 0)
    return image.astype(np.float32), mask


def resample_labels(
    tissues: tuple[Array, Array, Array],
    mask: Mask,
    brain: Brain,
    registration: Registration,
    grid: Grid,
) -> npt.NDArray[np.uint8]:
    """Resample tissue labels onto a grid: each voxel gets its most frequent tissue.

    Parameters
    ----------
    tissues
        CSF, grey and white matter on the brain's voxels: 1 inside the tissue, 0 elsewhere.
    mask
        `(S, H, W)`: the brain on the grid.
    brain, registration, grid
        As for `resample_brain`.

    Returns
    -------
    numpy.ndarray
        `(S, H, W)` uint8: 1, 2, 3 for the three tissues, 0 for none and outside the mask.
    """
    fractions = np.stack([_onto_grid(tissue, brain, registration, grid) for tissue in tissues])
    background = 1 - fractions.sum(axis=0)
    categories = np.concatenate([background[None], fractions]).argmax(axis=0)
    labels: npt.NDArray[np.uint8] = categories.astype(np.uint8)
    labels[~mask] = 0
    return labels


def _onto_grid(
    data: npt.NDArray[Any], brain: Brain, registration: Registration, grid: Grid
) -> Array:
    volume = Volume(data.astype(np.float32), brain.image.affine)
    return resample(volume, np.array(registration.matrix) @ grid_affine(grid), grid.shape)


def resample(volume: Volume, target: Affine, shape: tuple[int, int, int]) -> Array:
    """Sample a volume on another lattice by one linear interpolation; zero outside it.

    Where the lattice is coarser than the volume, each voxel is the mean of samples spread
    evenly over it, as in a scanner's own voxel, so that fine structure does not alias.

    Parameters
    ----------
    volume
        The volume to sample.
    target
        `(4, 4)`: from index on the lattice to the volume's millimetres.
    shape
        Shape of the lattice.
    """
    from scipy import ndimage

    matrix = np.linalg.inv(volume.affine) @ target
    steps = np.linalg.norm(matrix[:3, :3], axis=0)  # in voxels of the volume
    counts = np.maximum(1, np.rint(steps)).astype(int)
    spread = np.diag([*1 / counts, 1.0])
    spread[:3, 3] = (1 / counts - 1) / 2
    matrix = matrix @ spread
    samples = ndimage.affine_transform(
        volume.data,
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


def grid_affine(grid: Grid) -> Affine:
    """Return the `(4, 4)` matrix from index (slice, row, column) to MNI152 x, y, z in mm."""
    ds, dh, dw = grid.spacing
    x, y, z = grid.origin
    return np.array([[0, dh, 0, x], [0, 0, dw, y], [ds, 0, 0, z], [0, 0, 0, 1]], dtype=np.float64)
