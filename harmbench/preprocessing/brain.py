"""A brain, or a head, cropped from its volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harmbench.errors import BadScanError
from harmbench.preprocessing.nifti_read import Array, FileFacts, Volume
from harmbench.preprocessing.undefined_voxels import fill_undefined

# The largest brains measured in adults, ventricles included, stay under 2 litres; a head
# with its skin and skull, or with background noise, is well above.
MAX_BRAIN_LITRES = 2.2
# The brain of a newborn has 0.35 litres: less is a fragment, or the voxel sizes are wrong.
MIN_BRAIN_LITRES = 0.3

# Overshoot of a sharp interpolation makes a few voxels negative. With more than this fraction
# of negative voxels, or a negative background, zero is not black: intensities were
# standardised or shifted.
_MAX_NEGATIVE = 0.05
_BLACK_PERCENTILE = 0.5


@dataclass(frozen=True, eq=False)
class Brain:
    """A brain cropped from its volume, or a head where heads are kept.

    Attributes
    ----------
    image
        The part of the volume around the brain, minus `floor`; not negative, and zero outside
        `mask`. A few voxels that are undefined in the file are filled (`fill_undefined`).
    mask
        `(X, Y, Z)` bool: the brain, with holes filled and small components removed.
    box
        Position of that part in the volume.
    floor
        Intensity that is black. It is zero unless a large part of the brain is negative.
    """

    image: Volume
    mask: npt.NDArray[np.bool_]
    box: tuple[slice, slice, slice]
    floor: float = 0.0

    def crop(self, data: Array) -> Array:
        """Crop another volume on the same voxels to the same part."""
        return data[self.box]

    def above_black(self, data: Array) -> Array:
        """Return a volume's intensities minus `floor`, not negative; zero in the background."""
        if self.floor == 0:
            return data.copy()
        return np.where(data != 0, np.maximum(data - np.float32(self.floor), 0), np.float32(0))


def crop_brain(volume: Volume, name: str = "the scan") -> Brain:
    """Crop the brain from a brain-extracted volume.

    The mask is every voxel that differs from the background, zero, without small separate
    components and with holes filled, since ventricles may contain zeros. Negative intensities
    belong to the brain.

    Raises
    ------
    BadScanError
        If too large a part of the brain is undefined in the file; `name` is the file's.
    """
    from scipy import ndimage

    foreground = volume.data != 0
    (box,) = ndimage.find_objects(foreground.astype(np.uint8))
    components, _ = ndimage.label(foreground[box], structure=np.ones((3, 3, 3)))
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    mask = ndimage.binary_fill_holes((sizes > 0.05 * sizes.max())[components])
    return _crop(volume, mask, box, name, _black(volume, volume.data[box][mask]))


def crop_head(volume: Volume, name: str) -> Brain:
    """Crop the head from a volume: the brain and everything around it except air.

    The mask is the largest component above a quarter of Otsu's threshold (IEEE Trans Syst
    Man Cybern 1979;9:62-66), which is well above the noise of air and below all tissue
    except bone and fluid. Bone and fluid are filled in each axial slice, because in three
    dimensions they are open towards the neck.

    Raises
    ------
    BadScanError
        If the volume is empty, no component is as large as a brain, or too large a part of the
        head is undefined in the file.
    """
    from scipy import ndimage
    from skimage.filters import threshold_otsu

    if not volume.data.any():
        raise BadScanError(f"{name} is empty: no voxel differs from the background")
    floor = _black(volume, volume.data)
    data = volume.data if floor == 0 else volume.data - np.float32(floor)
    above = data > threshold_otsu(np.minimum(data, np.percentile(data, 99.5))) / 4
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
    return _crop(volume, mask, box, name, floor)


def _black(volume: Volume, intensities: Array) -> float:
    """Return the intensity that is black: zero, or a low percentile if zero is not black."""
    negative = np.count_nonzero(intensities < 0)
    if volume.facts.background >= 0 and negative <= _MAX_NEGATIVE * intensities.size:
        return 0.0
    return min(0.0, float(np.percentile(intensities, _BLACK_PERCENTILE)))


def _crop(
    volume: Volume,
    mask: npt.NDArray[np.bool_],
    box: tuple[slice, slice, slice],
    name: str,
    floor: float,
) -> Brain:
    if volume.facts.undefined is not None:
        whole = np.zeros(volume.data.shape, dtype=bool)
        whole[box] = mask
        volume = fill_undefined(volume, whole, name)
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [side.start for side in box]
    image = np.maximum(volume.data[box] - np.float32(floor), 0)
    facts = FileFacts(filled=volume.facts.filled)
    return Brain(Volume(np.where(mask, image, np.float32(0)), affine, facts), mask, box, floor)
