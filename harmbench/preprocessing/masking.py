"""Cutting the brain out of a volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harmbench.errors import BadScanError
from harmbench.preprocessing.nifti_read import MIN_BRAIN_LITRES, Array, Volume


@dataclass(frozen=True, eq=False)
class Brain:
    """A brain cut out of its volume, or a head where heads are kept.

    Attributes
    ----------
    image
        The part of the volume around the brain, zero outside `mask`.
    mask
        `(X, Y, Z)` bool: the brain, holes filled and specks left out.
    box
        Where that part lies in the volume.
    """

    image: Volume
    mask: npt.NDArray[np.bool_]
    box: tuple[slice, slice, slice]

    def cut(self, data: Array) -> Array:
        """Cut the same part out of another volume on the same voxels."""
        return data[self.box]


def extract(volume: Volume) -> Brain:
    """Cut the brain out of a brain-extracted volume.

    The mask is what is above zero, without specks apart from the brain and with its
    holes filled, since ventricles may hold zeros.
    """
    from scipy import ndimage

    above = volume.data > 0
    (box,) = ndimage.find_objects(above.astype(np.uint8))
    parts, _ = ndimage.label(above[box], structure=np.ones((3, 3, 3)))
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    mask = ndimage.binary_fill_holes((sizes > 0.05 * sizes.max())[parts])
    return _cut_out(volume, mask, box)


def foreground(volume: Volume, name: str) -> Brain:
    """Cut the head out of a volume: the brain with all that is around it, but not the air.

    The mask is the largest part above a quarter of Otsu's threshold (IEEE Trans Syst Man
    Cybern 1979;9:62-66), which lies well above the noise of air and below all tissue but
    bone and fluid. Those are filled in each axial slice: seen in three dimensions, they are
    open towards the neck.

    Raises
    ------
    BadScanError
        If there is nothing, or nothing that is as large as a brain.
    """
    from scipy import ndimage
    from skimage.filters import threshold_otsu

    if not (volume.data > 0).any():
        raise BadScanError(f"{name} is empty: no voxel is above zero")
    bright = np.minimum(volume.data, np.percentile(volume.data, 99.5))
    above = volume.data > threshold_otsu(bright) / 4
    # What is a voxel thick holds noise together, and is opened away.
    parts, _ = ndimage.label(ndimage.binary_opening(above))
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    head = parts == sizes.argmax()
    litres = sizes.max() * volume.voxel_volume / 1e6
    if litres < MIN_BRAIN_LITRES:
        raise BadScanError(f"{name} holds no head: its foreground has only {litres:.2f} litres")
    (box,) = ndimage.find_objects(head.astype(np.uint8))
    mask = ndimage.binary_closing(np.pad(head[box], 2), iterations=2)[2:-2, 2:-2, 2:-2]
    for place in range(mask.shape[2]):
        mask[:, :, place] = ndimage.binary_fill_holes(mask[:, :, place])
    return _cut_out(volume, mask, box)


def _cut_out(volume: Volume, mask: npt.NDArray[np.bool_], box: tuple[slice, slice, slice]) -> Brain:
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [side.start for side in box]
    return Brain(Volume(np.where(mask, volume.data[box], 0), affine), mask, box)
