"""Brain masks, ventricles, and the overlap of tissue between subjects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from harmbench.preprocessing.nifti_read import Array

Mask = npt.NDArray[np.bool_]

_CLOSING = 10.0  # mm: wider than a sulcus
VENTRICLE_DEPTH = 25.0  # mm below the surface: deeper than sulci and most cisterns


def dice(first: Mask, second: Mask) -> float:
    """Return the Dice coefficient of two masks."""
    return float(2 * np.count_nonzero(first & second) / (first.sum() + second.sum()))


def largest(mask: Mask) -> Mask:
    """Return the largest connected component."""
    components, _ = ndimage.label(mask)
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    result: Mask = components == sizes.argmax()
    return result


def surface(mask: Mask) -> Mask:
    """Return the voxels of a mask that touch its outside."""
    result: Mask = mask & ~ndimage.binary_erosion(mask)
    return result


def surface_distance(first: Mask, second: Mask, spacing: tuple[float, ...]) -> float:
    """Return the symmetric mean distance in mm between the surfaces of two masks."""
    edges = surface(first), surface(second)
    to_first, to_second = (ndimage.distance_transform_edt(~edge, spacing) for edge in edges)
    both = np.concatenate([to_second[edges[0]], to_first[edges[1]]])
    return float(both.mean())


def closed_brain(parenchyma: Mask, spacing: tuple[float, ...]) -> Mask:
    """Return the parenchyma with sulci and ventricles filled: a closing by 10 mm.

    This second brain mask is computed from the image only, with the same rule for all scans.
    """
    brain = largest(ndimage.binary_opening(parenchyma))
    near = ndimage.distance_transform_edt(~brain, spacing) <= _CLOSING
    filled = ndimage.binary_fill_holes(ndimage.distance_transform_edt(near, spacing) > _CLOSING)
    result: Mask = filled | brain
    return result


def margin(mask: Mask, parenchyma: Mask, spacing: tuple[float, ...]) -> tuple[float, float]:
    """Return mean and standard deviation, over the mask's surface, of the distance to parenchyma.

    In mm. The mean is how tight the mask is, the deviation how uneven.
    """
    distance = ndimage.distance_transform_edt(~parenchyma, spacing)[surface(mask)]
    return float(distance.mean()), float(distance.std())


def ventricle_share(csf: Mask, brain: Mask, spacing: tuple[float, ...]) -> float:
    """Return the volume of deep CSF over that of the brain.

    Deep is more than 25 mm below the surface of the closed brain. The same rule for all
    scans; it leaves out the tips of the horns.
    """
    deep = ndimage.distance_transform_edt(brain, spacing) > VENTRICLE_DEPTH
    return float(np.count_nonzero(csf & deep) / np.count_nonzero(brain))


def overlap_between(masks: npt.NDArray[np.bool_], subjects: Sequence[str]) -> float:
    """Return the mean Dice coefficient over all pairs of scans of different subjects.

    Parameters
    ----------
    masks
        `(N, V)`: one row a scan.
    subjects
        The subject of each scan: length N.
    """
    values = masks.astype(np.float32)
    shared = values @ values.T
    sizes = values.sum(axis=1)
    pairs = 2 * shared / (sizes[:, None] + sizes[None, :])
    names = np.array(subjects)
    return float(pairs[names[:, None] != names[None, :]].mean())


def density_scatter(densities: Array) -> float:
    """Return the standard deviation between scans of smoothed tissue maps, averaged over voxels.

    Parameters
    ----------
    densities
        `(N, V)` in [0, 1].
    """
    return float(densities.std(axis=0, ddof=1).mean())
