"""Resample a whole brain to an extended grid, and the change back to the scan."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
import numpy.typing as npt

from harmbench.data.scans import Grid
from harmbench.preprocessing.brain import Brain
from harmbench.preprocessing.nifti_read import Array, Volume
from harmbench.preprocessing.registration import Registration
from harmbench.preprocessing.resampling import resample_brain
from harmbench.util.resample import resample

Mask = npt.NDArray[np.bool_]

# Fraction of a grid's slices that is replaced at each end by slices outside the grid. A larger
# fraction makes windows less like the stacks that methods are fitted on; a smaller one needs
# more windows.
_REPLACED = 0.1
# Fraction of the intensities on the grid that gives the slope of a normalisation at its ends.
_END = 0.005
# A native voxel is changed if at least this fraction of its grid neighbours lies in the mask;
# smaller values are rounding errors of the interpolation.
_SUPPORT = 1e-3


@dataclass(frozen=True, eq=False)
class Stack:
    """A scan's whole brain on a grid that was extended at both ends.

    Attributes
    ----------
    grid
        The extended grid, with K slices.
    first
        Index of the original grid's first slice.
    images, masks
        `(K, H, W)`: the scan's own intensities, float32, not normalised; and the brain, bool.
    """

    grid: Grid
    first: int
    images: Array
    masks: Mask


@dataclass(frozen=True)
class Window:
    """Slices that a method receives together.

    Attributes
    ----------
    slices
        Index into the stack of each slice: as many as the grid has, or all.
    weights
        Weight of each slice's result in the mean over windows: of the same length.
    """

    slices: tuple[int, ...]
    weights: tuple[float, ...]


def whole_grid(grid: Grid, brain: Brain, registration: Registration) -> tuple[Grid, int]:
    """Extend a grid along its slice axis, at its own spacing, to cover a whole brain.

    Returns
    -------
    grid, first
        The extended grid, which contains the original slices; and the index of their first.
    """
    to_mni = np.linalg.inv(np.array(registration.matrix)) @ brain.image.affine
    heights = to_mni[2, :3] @ np.argwhere(brain.mask).T + to_mni[2, 3]
    step, positions = grid.spacing[0], grid.positions
    below = max(0, int(np.ceil((positions[0] - heights.min()) / step)))
    above = max(0, int(np.ceil((heights.max() - positions[-1]) / step)))
    S, H, W = grid.shape
    x, y, z = grid.centre
    extended = dataclasses.replace(
        grid, shape=(below + S + above, H, W), centre=(x, y, z + (above - below) / 2 * step)
    )
    return extended, below


def whole_stack(
    brain: Brain, registration: Registration, grid: Grid, *, all_slices: bool = True
) -> Stack:
    """Resample a brain to the extended grid, like a cohort's scans to the grid.

    Without `all_slices`, to the grid itself.
    """
    extended, first = whole_grid(grid, brain, registration) if all_slices else (grid, 0)
    image, mask = resample_brain(brain, registration, extended)
    return Stack(extended, first, image, mask)


def white_levels(stack: Stack, size: int) -> Array:
    """Return the intensity that min-max maps to 1 in slices outside the grid: `(K,)`.

    Within the grid this is the slice's maximum. Below the grid, arteries are up to three times
    as bright as white matter; scaled by its maximum, such a slice would lose its contrast and
    be harmonised differently from its neighbours, in stripes. Outside the grid it is the
    slice's 95th percentile, times the median ratio of maximum to 95th percentile in the grid.

    Parameters
    ----------
    stack, size
        The stack, and the number of slices of the original grid.
    """
    bright = np.zeros(len(stack.images), dtype=np.float32)
    for k, (image, mask) in enumerate(zip(stack.images, stack.masks, strict=True)):
        if mask.any():
            bright[k] = np.percentile(image[mask], 95)
    grid = slice(stack.first, stack.first + size)
    valid = bright[grid] > 0
    ratios = stack.images[grid].max(axis=(1, 2))[valid] / bright[grid][valid]
    levels: Array = bright * (np.median(ratios) if len(ratios) else 1)
    return levels


def normalized_like_grid(images: Array, masks: Mask, own: slice, on_grid: Array) -> Array:
    """Normalise a stack `(K, H, W)` like its slices on the grid, so that one scan has one scale.

    All normalisations but min-max are one ascending function of intensity for the whole volume,
    clipped at 0 and 1. It is interpolated between the grid's voxels, and extrapolated by its
    slope at either end.

    Parameters
    ----------
    images, masks
        `(K, H, W)`: the scan's own intensities, and the brain.
    own
        The grid's slices.
    on_grid
        `(S, H, W)`: these slices, normalised.
    """
    normalized = np.zeros_like(images)
    x, first = np.unique(images[own][masks[own]], return_index=True)
    if len(x):
        y, values = on_grid[masks[own]][first], images[masks]
        mapped = np.interp(values, x, y)
        count = min(max(1, round(_END * len(x))), len(x) - 1)
        for end, inner, outside in ((0, count, values < x[0]), (-1, -1 - count, values > x[-1])):
            slope = (y[end] - y[inner]) / (x[end] - x[inner]) if count else 0
            mapped[outside] += slope * (values[outside] - x[end])
        normalized[masks] = mapped.clip(0, 1)
    normalized[own] = on_grid
    return normalized


def intensity_scale(images: Array, normalized: Array, masks: Mask) -> Array:
    """Return each slice's scale from normalised to the scan's own intensities: `(S,)`.

    The slope of the least-squares line through voxels that were not clipped. It inverts
    normalisations that are linear within a slice exactly; for others (nyul) it is the mean
    slope.

    Parameters
    ----------
    images, normalized, masks
        `(S, H, W)`: the scan's own intensities, those in [0, 1], and the brain.
    """
    scale = np.zeros(len(images), dtype=np.float32)
    for k, mask in enumerate(masks & (normalized > 0) & (normalized < 1)):
        x, y = normalized[k][mask].astype(np.float64), images[k][mask].astype(np.float64)
        if len(x) and np.ptp(x) > 0:
            centred = x - x.mean()
            scale[k] = (centred @ y) / (centred @ centred)
    return scale


def single_window(count: int) -> Window:
    """Return the window of all slices of a stack."""
    return Window(tuple(range(count)), (1.0,) * count)


def windows(count: int, first: int, size: int) -> Sequence[Window]:
    """Cover a stack with windows of the size that a method is fitted on.

    The first window is the grid itself, so that its slices are harmonised as in the benchmark.
    In each further window the grid's outermost slices are replaced by the next few above and
    below, in order. Every slice is thus harmonised close to its nearest position on the grid,
    and a method that uses intensities of the whole scan still receives mostly slices of the
    kind it was fitted on. (The last position of a sliding window would hold the crown and
    almost nothing else.) Windows overlap by half of the replaced slices and are faded into
    each other, so that differences between them make no step.

    Parameters
    ----------
    count, first, size
        Number of slices of the stack; index of the grid's first slice; number of slices of the
        grid, at least two.

    Examples
    --------
    >>> for window in windows(count=6, first=2, size=3):
    ...     print(window.slices, window.weights)
    (2, 3, 4) (1.0, 1.0, 1.0)
    (1, 3, 5) (1.0, 0.0, 1.0)
    (0, 3, 4) (1.0, 0.0, 0.0)
    """
    grid = tuple(range(first, first + size))
    covering = [Window(grid, (1.0,) * size)]
    replaced = max(1, round(_REPLACED * size))
    fade = tuple(float(min(i + 1, replaced - i)) for i in range(replaced))
    below = [tuple(reversed(part)) for part in _parts(range(first - 1, -1, -1), replaced)]
    above = _parts(range(first + size, count), replaced)
    for low, high in zip_longest(below, above, fillvalue=()):
        kept = grid[len(low) : size - len(high)]
        # Weights are divided by their sum, so a shorter last part needs no other weights.
        weights = (*fade[: len(low)][::-1], *(0.0 for _ in kept), *fade[: len(high)])
        covering.append(Window((*low, *kept, *high), weights))
    return covering


def _parts(slices: Sequence[int], size: int) -> list[tuple[int, ...]]:
    """Split slices into parts of a size; each begins in the middle of the one before."""
    hop = (size + 1) // 2
    starts = range(0, max(len(slices) - size + hop, 1), hop) if slices else ()
    return [tuple(slices[start : start + size]) for start in starts]


def change_in_scan(
    change: Array,
    stack: Stack,
    volume: Volume,
    brain: Brain,
    registration: Registration,
    blend: float,
) -> tuple[Array, Mask]:
    """Resample a method's change to the scan's own voxels.

    The difference is resampled and added, not the harmonised image. An image that is resampled
    to the grid and back loses detail below the grid's voxel size, whatever the method does;
    the difference of two such images contains the method's change only. Detail finer than the
    grid is kept, and a method that changes nothing returns the scan itself.

    Parameters
    ----------
    change
        `(K, H, W)`: the method's change, in the scan's own intensities.
    stack
        The stack that was harmonised.
    volume, brain, registration
        The whole scan, its brain, and the brain's registration to MNI152.
    blend
        Distance in mm over which the change grows to its full size, from the nearest voxel
        that is not changed and not zero. Where the scan is zero outside the brain no seam can
        arise, and the brain is changed up to its edge.

    Returns
    -------
    added, changed
        `(X, Y, Z)`, as `volume`: the values to add; and the voxels that the method's output
        covers, bool. Elsewhere the added values are exactly zero.
    """
    affine = np.array(registration.matrix) @ stack.grid.affine

    def to_scan(data: npt.NDArray[np.generic]) -> Array:
        return resample(data.astype(np.float32), affine, brain.image.affine, brain.mask.shape)

    # As in preprocessing: at the edge, the mean over neighbours inside the mask.
    support = to_scan(stack.masks)
    changed = np.zeros(volume.data.shape, dtype=bool)
    changed[brain.box] = brain.mask & (support > _SUPPORT)
    added = np.zeros(volume.data.shape, dtype=np.float32)
    added[brain.box] = to_scan(change * stack.masks) / np.maximum(support, _SUPPORT)
    added[~changed] = 0
    if blend > 0:
        added *= _weights(changed, volume, brain, blend)
    return added, changed


def _weights(changed: Mask, volume: Volume, brain: Brain, blend: float) -> Array:
    """Return `(X, Y, Z)`: 0 next to unchanged voxels, 1 at a distance of `blend` mm or more."""
    from scipy import ndimage

    margins = [int(np.ceil(blend / size)) + 1 for size in volume.voxel_size]
    near = tuple(
        slice(max(0, side.start - margin), side.stop + margin)
        for side, margin in zip(brain.box, margins, strict=True)
    )
    weights = np.ones(volume.data.shape, dtype=np.float32)
    unchanged = ~changed[near] & (volume.data[near] != 0)
    if unchanged.any():
        distance = ndimage.distance_transform_edt(~unchanged, sampling=volume.voxel_size)
        t = np.clip(distance / blend, 0, 1)
        weights[near] = t * t * (3 - 2 * t)  # smooth at both ends
    return weights
