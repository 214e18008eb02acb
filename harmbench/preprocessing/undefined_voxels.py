"""Fill the few voxels inside a brain that are NaN or infinite in the file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from harmbench.errors import BadScanError
from harmbench.preprocessing.nifti_read import Array, Volume

Mask = npt.NDArray[np.bool_]

# Fraction of the mask. A division by zero, or a failed fit of a quantitative map, leaves a few
# voxels undefined; with more, the values that are missing would be invented.
MOST_UNDEFINED = 0.01

# Of the voxels around a brain. A few may lie outside the field of view; nearly all do if the
# background is undefined.
_LEAST_BORDER, _MOST_BORDER = 0.02, 0.9

_NEIGHBOURS = np.argwhere(np.ones((3, 3, 3))) - 1


def fill_undefined(volume: Volume, mask: Mask, name: str) -> Volume:
    """Give each undefined voxel of a mask the median of its defined neighbours in the mask.

    A neighbour shares a face, an edge or a corner. A larger hole is filled from its border.

    Parameters
    ----------
    volume
        The volume; the undefined voxels are zero.
    mask
        `(X, Y, Z)` bool: the brain, or the head.
    name
        The file's name.

    Raises
    ------
    BadScanError
        If more than `MOST_UNDEFINED` of the mask is undefined.
    """
    facts = volume.facts
    if facts.undefined is None:
        return volume
    missing = facts.undefined & mask
    count = int(np.count_nonzero(missing))
    if not count:
        return volume
    share = count / np.count_nonzero(mask)
    if share > MOST_UNDEFINED:
        raise BadScanError(
            f"{name} has undefined voxels (NaN or infinity) in {share:.1%} of the brain; at most "
            f"{MOST_UNDEFINED:.0%} is filled; export the scan again"
        )
    return replace(
        volume,
        data=_filled(volume.data, missing, mask),
        facts=replace(facts, undefined=facts.undefined & ~missing, filled=facts.filled + count),
    )


def undefined_border(volume: Volume) -> str | None:
    """Return a text if undefined voxels border on part of a brain-extracted volume, or None.

    They may be a part of the brain that is undefined up to its surface, which cannot be
    distinguished from the background.
    """
    from scipy import ndimage

    if volume.facts.undefined is None:
        return None
    inside = volume.data != 0
    around = ndimage.binary_dilation(inside) & ~inside
    share = np.count_nonzero(volume.facts.undefined & around) / max(int(around.sum()), 1)
    if not _LEAST_BORDER < share < _MOST_BORDER:
        return None
    return f"undefined voxels (NaN or infinity) border on {share:.0%} of the brain's surface"


def filled_note(count: int) -> str:
    """Return the sentence that reports a number of filled voxels."""
    voxels = "1 undefined voxel" if count == 1 else f"{count} undefined voxels"
    return f"{voxels} (NaN or infinity) in the brain, filled with the median of the neighbours"


def _filled(data: Array, missing: Mask, mask: Mask) -> Array:
    """Return the data with the missing voxels filled, layer by layer."""
    # A margin of one, so that every voxel has 26 neighbours.
    values = np.pad(np.where(mask & ~missing, data, np.float32(np.nan)), 1, constant_values=np.nan)
    left = np.argwhere(missing) + 1
    while len(left):
        near = left[:, None] + _NEIGHBOURS
        around = values[tuple(np.moveaxis(near, -1, 0))]
        reached = np.isfinite(around).any(axis=1)
        if not reached.any():
            break
        values[tuple(left[reached].T)] = np.nanmedian(around[reached], axis=1)
        left = left[~reached]
    inner = values[1:-1, 1:-1, 1:-1]
    return np.where(missing & np.isfinite(inner), inner, data)
