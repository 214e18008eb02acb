"""Does a volume contain the head around the brain? The skull is a dark layer below the scalp."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from harmbench.preprocessing.nifti_read import Volume

_STEP = 3.0  # mm, of the lattice on which the layers are measured, and their thickness
_CLOSED = 12.0  # mm: gaps of twice this width, such as a skull of zeros, are inside the surface
_DEPTH = 30.0  # mm below the surface; the skull of adults ends at about 20 mm, face excluded

# 49 brain-extracted scans have a dip of at most 0.005, versions of one head 0.45 and more:
# benchmarks/heads.py.
_HEAD_DIP = 0.2


def contains_skull(volume: Volume, foreground: npt.NDArray[np.bool_]) -> bool:
    """Return whether a dark layer lies between the surface of a volume and its inside.

    Parameters
    ----------
    volume
        The scan.
    foreground
        `(X, Y, Z)` bool: the voxels that differ from the background.
    """
    return skull_dip(volume, foreground) > _HEAD_DIP


def skull_dip(volume: Volume, foreground: npt.NDArray[np.bool_]) -> float:
    """Measure how dark a layer is compared with the layers outside and inside of it.

    The layers are 3 mm thick and parallel to the surface of the foreground, whose gaps are
    closed. A layer's intensity is the median of its voxels, so that defects of part of the head
    do not matter. From the surface of a brain inwards, layers become brighter: CSF, cortex, white
    matter. A head has scalp, skull and brain, with the skull darker than both.

    Parameters
    ----------
    volume, foreground
        As for `contains_skull`.

    Returns
    -------
    float
        The largest difference between a layer and the darker one of the brightest layer outside
        and the brightest layer inside of it, divided by the brightest layer: 0 to 1.
    """
    from scipy import ndimage

    stride = tuple(slice(None, None, max(1, round(_STEP / s))) for s in volume.voxel_size)
    spacing = [s * (part.step or 1) for s, part in zip(volume.voxel_size, stride, strict=True)]
    pads = [int(np.ceil(2 * _CLOSED / s)) for s in spacing]
    inside = np.pad(foreground[stride], [(n, n) for n in pads])
    data = np.pad(volume.data[stride], [(n, n) for n in pads])
    # Standardised intensities are negative in the darkest tissue.
    black = min(0.0, float(np.percentile(data[inside], 1)))
    data = np.where(inside, data - np.float32(black), np.float32(0))

    near = ndimage.distance_transform_edt(~inside, sampling=spacing) <= _CLOSED
    closed = ndimage.distance_transform_edt(near, sampling=spacing) > _CLOSED
    depth = ndimage.distance_transform_edt(
        ndimage.binary_fill_holes(closed | inside), sampling=spacing
    )
    layers = [data[(depth > low) & (depth <= low + _STEP)] for low in np.arange(0, _DEPTH, _STEP)]
    levels = np.array([np.median(layer) for layer in layers if len(layer)])
    if not (levels > 0).any():
        return 0.0
    outside = np.maximum.accumulate(levels)
    beyond = np.maximum.accumulate(levels[::-1])[::-1]
    return float((np.minimum(outside, beyond) - levels).max() / levels.max())
