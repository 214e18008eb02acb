"""Preparing one volume: resampling onto the grid and normalisation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harmbench.data.prepare_options import DEFAULT_NORMALIZATION
from harmbench.preprocessing.nifti_read import Array, Volume

if TYPE_CHECKING:
    from harmbench.data.scans import Grid
    from harmbench.preprocessing.registration import Registration
from harmbench.preprocessing.masking import Brain
from harmbench.preprocessing.resampling import grid_affine, resample

Normalize = Callable[[Array, npt.NDArray[np.bool_]], Array]


@dataclass(frozen=True, eq=False)
class Prepared:
    """A scan on the grid.

    Attributes
    ----------
    image
        `(S, H, W)` float32 in [0, 1], zero outside the mask.
    mask
        `(S, H, W)` bool: the brain.
    labels
        `(S, H, W)` uint8, or None without labels.
    """

    image: Array
    mask: npt.NDArray[np.bool_]
    labels: npt.NDArray[np.uint8] | None


def prepare(
    brain: Brain,
    registration: Registration,
    grid: Grid,
    labels: tuple[Array, Array, Array] | None = None,
    normalize: Normalize | None = None,
) -> Prepared:
    """Bring a brain onto the grid and normalise it.

    Voxels at the brain's edge are the mean over the part of them that is brain, so that
    the edge is not darkened; a voxel belongs to the brain if at least half of it does.

    Parameters
    ----------
    brain, registration
        The brain and how it lies to MNI152.
    grid
        Where to bring it.
    labels
        For CSF, grey and white matter, 1 where it is and 0 elsewhere, on the brain's
        voxels. A voxel of the grid is what most of it is.
    normalize
        What makes the image and its mask the normalised image; by default each slice is
        normalised by its own minimum and maximum.
    """
    from harmbench.preprocessing.normalization import normalization

    normalize = normalize or normalization(DEFAULT_NORMALIZATION)
    target = np.array(registration.matrix) @ grid_affine(grid)

    def onto_grid(data: npt.NDArray[Any]) -> Array:
        volume = Volume(data.astype(np.float32), brain.image.affine)
        return resample(volume, target, grid.shape)

    part = onto_grid(brain.mask)
    mask = part >= 0.5
    image = np.where(mask, onto_grid(brain.image.data) / np.maximum(part, 0.5), 0)
    image = normalize(image.astype(np.float32), mask)
    prepared = None
    if labels is not None:
        tissues = np.stack([onto_grid(tissue) for tissue in labels])
        background = 1 - tissues.sum(axis=0)
        prepared = np.concatenate([background[None], tissues]).argmax(axis=0).astype(np.uint8)
        prepared[~mask] = 0
    return Prepared(image, mask, prepared)
