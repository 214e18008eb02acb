"""A brain, or a head, cropped from its volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harmbench.errors import BadScanError
from harmbench.preprocessing.nifti_read import Array, Volume

# The largest brains measured in adults, ventricles included, stay under 2 litres; a head
# with its skin and skull, or with background noise, is well above.
MAX_BRAIN_LITRES = 2.2
# The brain of a newborn has 0.35 litres: less is a fragment, or the voxel sizes are wrong.
MIN_BRAIN_LITRES = 0.3


@dataclass(frozen=True, eq=False)
class Brain:
    """A brain cropped from its volume, or a head where heads are kept.

    Attributes
    ----------
    image
        The part of the volume around the brain, zero outside `mask`.
    mask
        `(X, Y, Z)` bool: the brain, with holes filled and small components removed.
    box
        Position of that part in the volume.
    """

    image: Volume
    mask: npt.NDArray[np.bool_]
    box: tuple[slice, slice, slice]

    def crop(self, data: Array) -> Array:
        """Crop another volume on the same voxels to the same part."""
        return data[self.box]


def crop_brain(volume: Volume) -> Brain:
    """Crop the brain from a brain-extracted volume.

    The mask is every voxel above zero, without small separate components and with holes
    filled, since ventricles may contain zeros.
    """
    from scipy import ndimage

    above = volume.data > 0
    (box,) = ndimage.find_objects(above.astype(np.uint8))
    components, _ = ndimage.label(above[box], structure=np.ones((3, 3, 3)))
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    mask = ndimage.binary_fill_holes((sizes > 0.05 * sizes.max())[components])
    return _crop(volume, mask, box)


def crop_head(volume: Volume, name: str) -> Brain:
    """Crop the head from a volume: the brain and everything around it except air.

    The mask is the largest component above a quarter of Otsu's threshold (IEEE Trans Syst
    Man Cybern 1979;9:62-66), which is well above the noise of air and below all tissue
    except bone and fluid. Bone and fluid are filled in each axial slice, because in three
    dimensions they are open towards the neck.

    Raises
    ------
    BadScanError
        If the volume is empty, or no component is as large as a brain.
    """
    from scipy import ndimage
    from skimage.filters import threshold_otsu

    if not (volume.data > 0).any():
        raise BadScanError(f"{name} is empty: no voxel is above zero")
    bright = np.minimum(volume.data, np.percentile(volume.data, 99.5))
    above = volume.data > threshold_otsu(bright) / 4
    # Bridges of one voxel connect noise, so an opening removes them.
    components, _ = ndimage.label(ndimage.binary_opening(above))
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    head = components == sizes.argmax()
    litres = sizes.max() * volume.voxel_volume / 1e6
    if litres < MIN_BRAIN_LITRES:
        raise BadScanError(
            f"{name} contains no head: its foreground is only {litres:.2f} L "
            f"(expected >= {MIN_BRAIN_LITRES} L); check the voxel sizes"
        )
    (box,) = ndimage.find_objects(head.astype(np.uint8))
    mask = ndimage.binary_closing(np.pad(head[box], 2), iterations=2)[2:-2, 2:-2, 2:-2]
    for z in range(mask.shape[2]):
        mask[:, :, z] = ndimage.binary_fill_holes(mask[:, :, z])
    return _crop(volume, mask, box)


def _crop(volume: Volume, mask: npt.NDArray[np.bool_], box: tuple[slice, slice, slice]) -> Brain:
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [side.start for side in box]
    return Brain(Volume(np.where(mask, volume.data[box], 0), affine), mask, box)
