"""Regions of a brain that are far darker than the template: a hole, or a large lesion.

Such a region pulls the affine transform by about 1 mm over the whole brain
(benchmarks/README.md), so registration leaves it out of the comparison.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from harmbench.preprocessing.nifti_read import Volume
from harmbench.preprocessing.registration_images import (
    FINE,
    RegistrationTemplate,
    evened,
    itk_image,
)
from harmbench.util.resample import resample

Region = npt.NDArray[np.bool_]

_SMOOTHING = 4.0  # mm, standard deviation: anatomy that does not agree is smaller than a hole
# Six real brains have at most 4 ml that are darker by this many robust standard deviations, and
# with a hole of 65 ml at least 47 ml.
_DARKER = 4.0
_LEAST_SPREAD = 0.05  # of the local mean; real brains have 0.09 to 0.17
_SMALLEST = 10.0  # ml
_LARGEST = 0.3  # of the brain: more is a wrong pose
_BORDER = 2  # voxels, since smoothing darkens the surroundings


def dark_region(
    moving: Volume, matrix: npt.NDArray[np.float64], template: RegistrationTemplate
) -> Region | None:
    """Return the region of the template where a registered brain is far too dark, or None.

    Parameters
    ----------
    moving
        The brain, divided by its local mean.
    matrix
        `(4, 4)`: from MNI152 to its millimetres.
    template
        The template.

    Returns
    -------
    numpy.ndarray or None
        `(X, Y, Z)` bool on the voxels of `template.even`, with a border.
    """
    from scipy import ndimage

    even, inside = template.even, template.inside
    moved = resample(moving.data, moving.affine, matrix @ even.affine, even.data.shape)
    excess = ndimage.gaussian_filter(moved - even.data, _SMOOTHING / FINE)
    middle = np.median(excess[inside])
    # 1.4826: the standard deviation of a normal distribution by its median deviation.
    spread = max(1.4826 * np.median(np.abs(excess[inside] - middle)), _LEAST_SPREAD)
    components, _ = ndimage.label(inside & (excess < middle - _DARKER * spread))
    millilitres = np.bincount(components.ravel()) * FINE**3 / 1000
    large = np.flatnonzero(millilitres[1:] >= _SMALLEST) + 1
    dark = np.isin(components, large)
    if not 0 < np.count_nonzero(dark) <= _LARGEST * np.count_nonzero(inside):
        return None
    region: Region = ndimage.binary_dilation(dark, iterations=_BORDER)
    return region


def without_region(
    raw: Volume, matrix: npt.NDArray[np.float64], region: Region, template: RegistrationTemplate
) -> Volume:
    """Return a brain divided by its local mean, with a region of the template set to zero.

    The region has no part in the local mean, so it does not brighten its surroundings.

    Parameters
    ----------
    raw, matrix
        The brain, and the matrix `(4, 4)` from MNI152 to its millimetres.
    region, template
        As `dark_region` returns, and receives.
    """
    place = np.linalg.inv(matrix) @ raw.affine
    weights = region.astype(np.float32)
    covered = resample(weights, template.even.affine, place, raw.data.shape) > 0.5
    return evened(Volume(np.where(covered, np.float32(0), raw.data), raw.affine))


def mask_without(region: Region, template: RegistrationTemplate) -> Any:
    """Return the template's fine mask for SimpleITK without a region and its border."""
    import SimpleITK as sitk
    from scipy import ndimage

    wide = ndimage.binary_dilation(region, iterations=_BORDER).astype(np.float32)
    mask, left_out = template.fine_mask, itk_image(Volume(wide, template.even.affine))
    image = sitk.Resample(left_out, mask, sitk.Transform(), sitk.sitkNearestNeighbor, 0.0)
    return sitk.And(mask, sitk.Equal(image, 0.0))
