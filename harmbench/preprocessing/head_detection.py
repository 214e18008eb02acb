"""Does a volume contain the head around the brain? The skull is a dark layer below the scalp."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from harmbench.preprocessing.nifti_read import Volume

_STEP = 3.0  # mm, of the lattice on which the layers are measured, and their thickness
_CLOSED = 12.0  # mm: gaps of twice this width, such as a skull of zeros, are inside the surface
_DEPTH = 30.0  # mm below the surface; the skull of adults ends at about 20 mm, face excluded

# 47 brain-extracted scans have a dip of at most 0.005, versions of one head 0.45 and more:
# benchmarks/heads.py.
_HEAD_DIP = 0.2
# 47 brain-extracted scans have a ratio of at least 0.62, heads with dark scalp at most 0.42.
_MARGIN_LAYERS, _DARK_MARGIN = slice(3, 5), 0.5


def contains_skull(volume: Volume, foreground: npt.NDArray[np.bool_]) -> bool:
    """Return whether the layers of a volume below its surface are those of a head.

    Either a dark layer lies between the surface and the inside, the skull; or all layers from the
    surface to the brain are dark, because the fat of the scalp is suppressed.

    Parameters
    ----------
    volume
        The scan.
    foreground
        `(X, Y, Z)` bool: the voxels that differ from the background.
    """
    levels = layer_levels(volume, foreground)
    return skull_dip(levels) > _HEAD_DIP or margin_ratio(levels) < _DARK_MARGIN


def layer_levels(
    volume: Volume, foreground: npt.NDArray[np.bool_]
) -> npt.NDArray[np.floating[Any]]:
    """Return how bright the layers of a volume are, from its surface inwards.

    The layers are 3 mm thick and parallel to the surface of the foreground, whose gaps are
    closed. A layer's intensity is the median of its voxels, so that defects of part of the head
    do not matter.

    Parameters
    ----------
    volume, foreground
        As for `contains_skull`.

    Returns
    -------
    numpy.ndarray
        `(10,)`: the intensity of each layer, divided by that of the brightest. Not-a-number for
        a layer without voxels, and for all if the volume is black.
    """
    from scipy import ndimage

    stride = tuple(slice(None, None, max(1, round(_STEP / s))) for s in volume.voxel_size)
    spacing = [s * (part.step or 1) for s, part in zip(volume.voxel_size, stride, strict=True)]
    # More background around the foreground takes time and changes no distance.
    (box,) = ndimage.find_objects(foreground[stride].astype(np.uint8))
    pads = [int(_CLOSED / s) + 2 for s in spacing]
    inside = np.pad(foreground[stride][box], [(n, n) for n in pads])
    data = np.pad(volume.data[stride][box], [(n, n) for n in pads])
    # Standardised intensities are negative in the darkest tissue.
    black = min(0.0, float(np.percentile(data[inside], 1)))
    data = np.where(inside, data - np.float32(black), np.float32(0))

    near = ndimage.distance_transform_edt(~inside, sampling=spacing) <= _CLOSED
    closed = ndimage.distance_transform_edt(near, sampling=spacing) > _CLOSED
    depth = ndimage.distance_transform_edt(
        ndimage.binary_fill_holes(closed | inside), sampling=spacing
    )
    layers = [data[(depth > low) & (depth <= low + _STEP)] for low in np.arange(0, _DEPTH, _STEP)]
    levels = np.array([np.median(layer) if len(layer) else np.nan for layer in layers])
    brightest = np.nanmax(levels)
    return levels / brightest if brightest > 0 else np.full(len(levels), np.nan)


def skull_dip(levels: npt.NDArray[np.floating[Any]]) -> float:
    """Measure how dark a layer is compared with the layers outside and inside of it.

    From the surface of a brain inwards, layers become brighter: CSF, cortex, white matter. A head
    has scalp, skull and brain, with the skull darker than both.

    Parameters
    ----------
    levels
        As `layer_levels` returns them.

    Returns
    -------
    float
        The largest difference between a layer and the darker one of the brightest layer outside
        and the brightest layer inside of it: 0 to 1.
    """
    levels = levels[np.isfinite(levels)]
    if not len(levels):
        return 0.0
    outside = np.maximum.accumulate(levels)
    inside = np.maximum.accumulate(levels[::-1])[::-1]
    return float((np.minimum(outside, inside) - levels).max())


def margin_ratio(levels: npt.NDArray[np.floating[Any]]) -> float:
    """Compare the darkest layer from 9 to 15 mm below the surface with the brightest inside of it.

    This depth is cortex and white matter in a brain, and skull and CSF in a head. A head of
    which the skull alone is not noticeable, because its scalp is as dark, is noticeable here.

    Parameters
    ----------
    levels
        As `layer_levels` returns them.

    Returns
    -------
    float
        0 to 1: the ratio, 1 if no such layer has voxels.
    """
    depths = [i for i in range(*_MARGIN_LAYERS.indices(len(levels))) if np.isfinite(levels[i])]
    return min((float(levels[i] / np.nanmax(levels[i:])) for i in depths), default=1.0)
