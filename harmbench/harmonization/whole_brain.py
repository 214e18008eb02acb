"""The whole brain, on a grid that holds a part of it: out to the grid and back again."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
import numpy.typing as npt

from harmbench.data.scans import Grid
from harmbench.preprocessing.masking import Brain
from harmbench.preprocessing.nifti_read import Array, Volume
from harmbench.preprocessing.normalization import unscaled
from harmbench.preprocessing.prepare import prepare
from harmbench.preprocessing.registration import Registration
from harmbench.preprocessing.resampling import grid_affine, resample

Mask = npt.NDArray[np.bool_]

# Of a grid's slices, this part at each end makes room for slices beyond it: more would make
# a window less like the stacks that methods are made for, fewer would take more windows.
_LENT = 0.1
# Least part of a native voxel's neighbours on the grid that must have been seen for it to
# be changed: what is nearly none is the rounding of an interpolation.
_SUPPORT = 1e-3


@dataclass(frozen=True, eq=False)
class Stack:
    """A scan's whole brain on a grid's lattice, carried on beyond the grid's ends.

    Attributes
    ----------
    grid
        That lattice, with K slices.
    first
        Place of the original grid's first slice among them.
    images, masks
        `(K, H, W)`: the scan's own intensities, float32, not normalised; and the brain, bool.
    """

    grid: Grid
    first: int
    images: Array
    masks: Mask


@dataclass(frozen=True)
class Window:
    """Slices that are shown to a method as one scan on its grid.

    Attributes
    ----------
    slices
        Which of the stack's slices stands at each of the grid's places: length S.
    weights
        How much the result at each place counts in the mean over windows: length S.
    """

    slices: tuple[int, ...]
    weights: tuple[float, ...]


def whole_grid(grid: Grid, brain: Brain, registration: Registration) -> tuple[Grid, int]:
    """Carry a grid on along its slice axis, at its own spacing, over all of a brain.

    Returns
    -------
    grid, first
        The longer grid, on which the old one's slices lie as they did; and where they begin.
    """
    to_mni = np.linalg.inv(np.array(registration.matrix)) @ brain.image.affine
    heights = to_mni[2, :3] @ np.argwhere(brain.mask).T + to_mni[2, 3]
    step, positions = grid.spacing[0], grid.positions
    below = max(0, int(np.ceil((positions[0] - heights.min()) / step)))
    above = max(0, int(np.ceil((heights.max() - positions[-1]) / step)))
    S, H, W = grid.shape
    x, y, z = grid.centre
    longer = dataclasses.replace(
        grid, shape=(below + S + above, H, W), centre=(x, y, z + (above - below) / 2 * step)
    )
    return longer, below


def whole_stack(
    brain: Brain, registration: Registration, grid: Grid, *, all_slices: bool = True
) -> Stack:
    """Bring a brain onto a grid's lattice, as a cohort's scans are brought onto the grid.

    Without `all_slices`, only what lies on the grid itself.
    """
    longer, first = whole_grid(grid, brain, registration) if all_slices else (grid, 0)
    prepared = prepare(brain, registration, longer, normalize=unscaled)
    return Stack(longer, first, prepared.image, prepared.mask)


def white_levels(stack: Stack, size: int) -> Array:
    """Return what min-max is to take for 1 in the slices beyond the grid: `(K,)`.

    The maximum of a slice serves in the grid, but the arteries below it are up to three
    times as bright as the white matter, and a slice scaled by one has no contrast left: it
    would be harmonised unlike its neighbours, in stripes. It is the slice's 95th percentile
    instead, times what the maximum is of that in the grid, in the median.

    Parameters
    ----------
    stack, size
        The stack, and how many slices the grid has.
    """
    bright = np.zeros(len(stack.images), dtype=np.float32)
    for k, (image, mask) in enumerate(zip(stack.images, stack.masks, strict=True)):
        if mask.any():
            bright[k] = np.percentile(image[mask], 95)
    grid = slice(stack.first, stack.first + size)
    known = bright[grid] > 0
    ratios = stack.images[grid].max(axis=(1, 2))[known] / bright[grid][known]
    found: Array = bright * (np.median(ratios) if len(ratios) else 1)
    return found


def intensity_scale(images: Array, normalized: Array, masks: Mask) -> Array:
    """Return what 1 of each slice's normalised intensity is of the scan's own: `(S,)`.

    It is the slope of the least-squares line from one to the other, where the normalised
    ones were not clipped. Normalisations that are linear within a slice are inverted by it
    exactly, and of one that is not (nyul) it is the mean slope.

    Parameters
    ----------
    images, normalized, masks
        `(S, H, W)`: the scan's own intensities, those in [0, 1], and the brain.
    """
    found = np.zeros(len(images), dtype=np.float32)
    for k, mask in enumerate(masks & (normalized > 0) & (normalized < 1)):
        x, y = normalized[k][mask].astype(np.float64), images[k][mask].astype(np.float64)
        if len(x) and np.ptp(x) > 0:
            centred = x - x.mean()
            found[k] = (centred @ y) / (centred @ centred)
    return found


def windows(count: int, first: int, size: int) -> Sequence[Window]:
    """Cover a stack of slices by windows of the size that a method is made for.

    The first window is the grid itself, so that its slices come out as in the benchmark.
    In each further one the grid's outermost slices make room for the next few beyond them,
    above and below, in their order. So every slice is treated at the place nearest to it
    that a method knows, give or take those few, and a method that goes by the intensities
    of a whole scan still meets mostly those slices that it was made for: if the window
    slid on as a block, its last would hold the crown and next to nothing else. Windows
    overlap by half of what is lent and are faded into each other, so that what differs
    between two of them makes no step.

    Parameters
    ----------
    count, first, size
        Slices of the stack; place of the grid's first among them; and slices of the grid, at
        least two.

    Examples
    --------
    >>> for window in windows(count=6, first=2, size=3):
    ...     print(window.slices, window.weights)
    (2, 3, 4) (1.0, 1.0, 1.0)
    (1, 3, 5) (1.0, 0.0, 1.0)
    (0, 3, 4) (1.0, 0.0, 0.0)
    """
    own = tuple(range(first, first + size))
    found = [Window(own, (1.0,) * size)]
    lent = max(1, round(_LENT * size))
    fade = tuple(float(min(i + 1, lent - i)) for i in range(lent))
    beneath = [tuple(reversed(part)) for part in _parts(range(first - 1, -1, -1), lent)]
    all_slices = _parts(range(first + size, count), lent)
    for low, high in zip_longest(beneath, all_slices, fillvalue=()):
        kept = own[len(low) : size - len(high)]
        # The mean is over what is there: a last part that is short needs no weights of its own.
        weights = (*fade[: len(low)][::-1], *(0.0 for _ in kept), *fade[: len(high)])
        found.append(Window((*low, *kept, *high), weights))
    return found


def _parts(slices: Sequence[int], size: int) -> list[tuple[int, ...]]:
    """Part slices into runs of a size, of which each begins in the middle of the one before."""
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
    """Bring what a method changed back onto the scan's own voxels.

    It is the difference that is brought back and added, not the harmonised image: a scan
    taken to the grid and back has been interpolated twice and lost its detail below the
    grid's voxels, whatever the method did; the difference of two images that both went that
    way holds nothing but the method's doing. Detail finer than the grid stays as it was,
    and a method that changes nothing gives back the scan itself.

    Parameters
    ----------
    change
        `(K, H, W)`: what a method changed, in the scan's own intensities.
    stack
        What it was shown.
    volume, brain, registration
        The whole scan; its brain; and how that lies to MNI152.
    blend
        Over how many mm the change grows to its full size, from the nearest voxel that is
        left as it is and is not zero. Where the scan is zero beyond the brain there is
        nothing to form a seam with, and the brain is changed up to its edge.

    Returns
    -------
    added, changed
        `(X, Y, Z)`, as `volume`: what is to be added; and where a method's answer reached,
        bool. The change is exactly zero elsewhere.
    """
    affine = np.array(registration.matrix) @ grid_affine(stack.grid)

    def back(data: npt.NDArray[np.generic]) -> Array:
        return resample(
            Volume(data.astype(np.float32), affine), brain.image.affine, brain.mask.shape
        )

    # As in preparing: at the edge, the mean over those neighbours that were seen.
    support = back(stack.masks)
    seen = np.zeros(volume.data.shape, dtype=bool)
    seen[brain.box] = brain.mask & (support > _SUPPORT)
    added = np.zeros(volume.data.shape, dtype=np.float32)
    added[brain.box] = back(change * stack.masks) / np.maximum(support, _SUPPORT)
    added[~seen] = 0
    if blend > 0:
        added *= _weights(seen, volume, brain, blend)
    return added, seen


def _weights(seen: Mask, volume: Volume, brain: Brain, blend: float) -> Array:
    """Return `(X, Y, Z)`: 0 next to what stays as it is, 1 from `blend` mm on."""
    from scipy import ndimage

    margins = [int(np.ceil(blend / size)) + 1 for size in volume.voxel_size]
    near = tuple(
        slice(max(0, side.start - margin), side.stop + margin)
        for side, margin in zip(brain.box, margins, strict=True)
    )
    weights = np.ones(volume.data.shape, dtype=np.float32)
    stays = ~seen[near] & (volume.data[near] != 0)
    if stays.any():
        distance = ndimage.distance_transform_edt(~stays, sampling=volume.voxel_size)
        t = np.clip(distance / blend, 0, 1)
        weights[near] = t * t * (3 - 2 * t)  # without an edge at either end
    return weights
