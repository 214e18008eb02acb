"""Measures of how a prepared scan looks: what a fit has seen, and what a scan is compared with."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]
Mask = npt.NDArray[np.bool_]

_PERCENTILES = (5, 25, 50, 75, 95)
_AXES = ("z", "y", "x")
# Depth in mm below the edge of the brain: cortex and CSF outside, mostly white matter inside.
_RIM, _CORE = 6.0, 12.0
# The median of |x| of a normal distribution with standard deviation 1.
_MEDIAN_OF_NORMAL = 0.6745
# Edge of the cubes in mm, and the percentile of their intensities: white matter in most cubes.
_CUBE, _BRIGHT = 30.0, 95
# Smallest part of a cube in the brain.
_LEAST_FILLED = 0.3


def appearance(image: Array, mask: Mask, spacing: Sequence[float]) -> dict[str, float]:
    """Measure intensities, contrast, texture, noise and extent of a prepared scan.

    Parameters
    ----------
    image, mask
        `(S, H, W)`: the normalised scan in [0, 1], and the mask of the brain, bool.
    spacing
        Distance between slices, rows and columns, in mm.

    Returns
    -------
    dict
        By name:

        - `percentile_P`: percentile P of the brain's intensities, in [0, 1];
        - `sharpness_A`: mean absolute difference between neighbours along the axis A, divided
          by that between voxels two apart. It does not depend on the scale of the intensities:
          0.5 for a smooth image, 1 for white noise; thick slices and blur decrease it;
        - `texture_A`: mean absolute difference between neighbours, divided by the range of the
          intensities;
        - `noise`: standard deviation of the noise, divided by the same range, by the median of
          Immerkaer's second-difference operator within slices (Computer Vision and Image
          Understanding 64, 1996, eq. 3), so it includes the finest anatomy;
        - `contrast`: intensity of the inner brain minus that of its rim, divided by the range:
          negative if the contrast is inverted;
        - `litres`: volume of the brain on the grid.

        Empty if the mask is.
    """
    if not mask.any():
        return {}
    levels = np.percentile(image[mask], _PERCENTILES)
    measures = {f"percentile_{p}": level for p, level in zip(_PERCENTILES, levels, strict=True)}
    spread = max(levels[-1] - levels[0], 1e-6)
    for axis, name in enumerate(_AXES):
        near, far = (_step(image, mask, axis, distance) for distance in (1, 2))
        measures[f"sharpness_{name}"] = near / max(far, 1e-6)
        measures[f"texture_{name}"] = near / spread
    measures["noise"] = _noise(image, mask) / spread
    measures["contrast"] = _core_minus_rim(image, mask, spacing) / spread
    measures["litres"] = np.count_nonzero(mask) * np.prod(spacing) / 1e6
    return {name: round(float(value), 5) for name, value in measures.items()}


def shading(image: Array, mask: Mask, spacing: Sequence[float]) -> list[float | None]:
    """Measure how bright the bright tissue is from place to place.

    Receive coils, transmit field and protocol of a scanner give a smooth pattern that its
    scans share.

    Parameters
    ----------
    image, mask, spacing
        As for `appearance`.

    Returns
    -------
    list
        For each cube of about 3 cm of the grid, in C order: the logarithm of the 95th percentile
        of its brain voxels, minus the mean of these logarithms over all cubes. None for a cube
        of which less than 30 % are brain.
    """
    edges = [max(1, round(_CUBE / side)) for side in spacing]
    starts = [range(0, length, edge) for length, edge in zip(image.shape, edges, strict=True)]
    found = []
    for corner in itertools.product(*starts):
        cube = tuple(slice(a, a + edge) for a, edge in zip(corner, edges, strict=True))
        voxels = image[cube][mask[cube]]
        filled = len(voxels) >= _LEAST_FILLED * np.prod(edges)
        level = max(float(np.percentile(voxels, _BRIGHT)), 1e-3) if filled else np.nan
        found.append(np.log(level))
    values = np.array(found)
    if np.isnan(values).all():
        return [None] * len(found)
    values -= np.nanmean(values)
    return [None if np.isnan(value) else round(float(value), 4) for value in values]


def _step(image: Array, mask: Mask, axis: int, distance: int) -> float:
    """Return the mean absolute difference of brain voxels at a distance along an axis."""
    length = image.shape[axis]
    low = tuple(slice(0, length - distance) if i == axis else slice(None) for i in range(3))
    high = tuple(slice(distance, length) if i == axis else slice(None) for i in range(3))
    both = mask[low] & mask[high]
    return float(np.abs(image[high] - image[low])[both].mean()) if both.any() else 0.0


def _noise(image: Array, mask: Mask) -> float:
    # The operator is the second difference along rows, then along columns.
    rows = image[:, 2:] - 2 * image[:, 1:-1] + image[:, :-2]
    second = rows[:, :, 2:] - 2 * rows[:, :, 1:-1] + rows[:, :, :-2]
    inside = mask[:, 2:] & mask[:, 1:-1] & mask[:, :-2]
    inside = inside[:, :, 2:] & inside[:, :, 1:-1] & inside[:, :, :-2]
    if not inside.any():
        return 0.0
    # White noise of standard deviation 1 gives sqrt(36): the root of the sum of squared weights.
    return float(np.median(np.abs(second[inside]))) / _MEDIAN_OF_NORMAL / 6


def _core_minus_rim(image: Array, mask: Mask, spacing: Sequence[float]) -> float:
    from scipy import ndimage

    depth = ndimage.distance_transform_edt(mask, sampling=spacing)
    core, rim = depth > _CORE, mask & (depth <= _RIM)
    if not core.any():
        return 0.0
    return float(np.median(image[core]) - np.median(image[rim]))
