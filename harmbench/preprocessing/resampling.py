"""Step 4 of preprocessing: resample a brain and its labels onto the grid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harmbench.preprocessing.brain import Brain
from harmbench.preprocessing.nifti_read import Array
from harmbench.util.resample import resample, resample_inside

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
    target = np.array(registration.matrix) @ grid.affine
    image = brain.image
    values, fraction = resample_inside(image.data, brain.mask, image.affine, target, grid.shape)
    mask = fraction >= 0.5
    return np.where(mask, values, 0).astype(np.float32), mask


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
    return resample(
        data.astype(np.float32),
        brain.image.affine,
        np.array(registration.matrix) @ grid.affine,
        grid.shape,
    )
