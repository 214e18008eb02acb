"""The images that registration compares: isotropic, even in brightness, and for SimpleITK."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from harmbench.preprocessing.brain import crop_brain
from harmbench.preprocessing.nifti_read import Volume
from harmbench.util.resample import resample

# SimpleITK receives all lengths in this unit, about the radius of a brain. So a step of some
# length moves voxels by that length, whether it is a translation, a rotation or a scale.
UNIT = 60.0  # mm
COARSE, FINE = 4.0, 3.0  # mm, of the images that are registered
MARGIN = 2 * COARSE  # mm of background around a fixed brain

_SMOOTHING = 4.0  # mm, standard deviation, of the images of the first stages
# Wide enough to keep gyri and nuclei; narrow enough to remove a bias field.
_FIELD = 25.0  # mm, standard deviation, of the window of the local mean
_DARKEST = 0.3  # of the mean: a lower local mean is a hole, which must not be brightened


@dataclass(frozen=True, eq=False, kw_only=True)
class RegistrationTemplate:
    """The template as images for SimpleITK, and its measurements.

    Attributes
    ----------
    volume
        The brain at `FINE` mm, zero outside.
    inside
        `(X, Y, Z)` bool on its voxels: at least 6 mm inside the brain.
    smooth, coarse_mask
        The smooth image of the first stages at `COARSE` mm, and its mask with a margin.
    even
        The image of the last stage at `FINE` mm.
    fine, fine_mask
        The same for SimpleITK, and its mask with a margin.
    brain_masks
        Both masks without margin.
    centre
        The brain's centre of mass in mm.
    size
        The brain's volume in mm^3.
    """

    volume: Volume
    inside: npt.NDArray[np.bool_]
    smooth: Any
    coarse_mask: Any
    even: Volume
    fine: Any
    fine_mask: Any
    brain_masks: tuple[Any, Any]
    centre: tuple[float, float, float]
    size: float


@lru_cache(maxsize=1)
def load_template() -> RegistrationTemplate:
    """Load the skull-stripped T1 template (MNI152) that the nilearn package contains."""
    from nilearn.datasets import load_mni152_template
    from scipy import ndimage

    image = load_mni152_template(resolution=1)
    brain = crop_brain(Volume(np.asarray(image.dataobj, dtype=np.float32), image.affine))
    coarse = isotropic(brain.image, COARSE, MARGIN)
    fine = isotropic(brain.image, FINE, MARGIN)
    even = evened(fine)
    x, y, z, _ = brain.image.affine @ [*ndimage.center_of_mass(brain.mask), 1]
    return RegistrationTemplate(
        volume=fine,
        inside=ndimage.binary_erosion(fine.data > 0, iterations=2),
        smooth=itk_image(smoothed(evened(coarse))),
        coarse_mask=itk_mask(coarse, 2),
        even=even,
        fine=itk_image(even),
        fine_mask=itk_mask(fine, 2),
        brain_masks=(itk_mask(coarse, 0), itk_mask(fine, 0)),
        centre=(float(x), float(y), float(z)),
        size=np.count_nonzero(brain.mask) * brain.image.voxel_volume,
    )


def isotropic(volume: Volume, spacing: float, margin: float) -> Volume:
    """Resample a brain onto an axis-aligned lattice of equal spacing with a margin around it."""
    # Without this, bright vessels would take most of the range of the histogram.
    bright = np.percentile(volume.data[volume.data > 0], 99)
    data = np.minimum(volume.data, bright)
    # Average blocks of voxels first: much faster than interpolating as many samples.
    blocks = np.maximum(1, np.floor(spacing / np.array(volume.voxel_size))).astype(int)
    a, b, c = blocks
    data = np.pad(data, [(0, -size % n) for size, n in zip(data.shape, blocks, strict=True)])
    x, y, z = np.floor_divide(data.shape, blocks)
    data = data.reshape(x, a, y, b, z, c).mean(axis=(1, 3, 5))
    affine = volume.affine @ np.diag([*blocks.astype(float), 1.0])
    affine[:3, 3] = (volume.affine @ [*(blocks - 1) / 2, 1])[:3]

    corners = np.stack(np.meshgrid(*[[0, n - 1] for n in data.shape])).reshape(3, -1)
    corners = affine[:3, :3] @ corners + affine[:3, 3:]
    low, high = corners.min(axis=1) - margin, corners.max(axis=1) + margin
    upright = np.diag([spacing, spacing, spacing, 1.0])
    upright[:3, 3] = low
    nx, ny, nz = (int(n) for n in np.ceil((high - low) / spacing) + 1)
    return Volume(resample(data, affine, upright, (nx, ny, nz)), upright)


def evened(volume: Volume) -> Volume:
    """Divide a brain by its local mean: a bias field would shift and shear the registration."""
    from scipy import ndimage

    mask = volume.data > 0
    sigma = [_FIELD / size for size in volume.voxel_size]
    total = ndimage.gaussian_filter(volume.data, sigma, truncate=2.0)
    weight = ndimage.gaussian_filter(mask.astype(np.float32), sigma, truncate=2.0)
    mean = total[mask] / weight[mask]
    data = np.zeros_like(volume.data)
    data[mask] = volume.data[mask] / np.maximum(mean, _DARKEST * volume.data[mask].mean())
    return Volume(data, volume.affine)


def smoothed(volume: Volume) -> Volume:
    """Smooth a volume for the first stages of registration."""
    from scipy import ndimage

    sigma = [_SMOOTHING / size for size in volume.voxel_size]
    return Volume(ndimage.gaussian_filter(volume.data, sigma), volume.affine)


def itk_image(volume: Volume) -> Any:
    """Convert an axis-aligned volume to a SimpleITK image, with lengths in `UNIT`.

    SimpleITK's axes point to the left and back. Ours are passed on unchanged, which makes
    no difference because all images are treated alike.
    """
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(volume.data.T)
    image.SetSpacing([size / UNIT for size in volume.voxel_size])
    image.SetOrigin((volume.affine[:3, 3] / UNIT).tolist())
    return image


def itk_mask(volume: Volume, margin: int) -> Any:
    """Return the brain mask, dilated by about `margin` voxels, as a SimpleITK image."""
    import SimpleITK as sitk
    from scipy import ndimage

    mask = volume.data > 0
    if margin:
        mask = ndimage.binary_dilation(mask, iterations=margin)
    return sitk.Cast(itk_image(Volume(mask.astype(np.float32), volume.affine)), sitk.sitkUInt8)


def transform_matrix(transform: Any) -> npt.NDArray[np.float64]:
    """Return a linear transform of SimpleITK as a `(4, 4)` matrix in mm."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(transform.GetMatrix(), (3, 3))
    matrix[:3, 3] = UNIT * np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
    return matrix
