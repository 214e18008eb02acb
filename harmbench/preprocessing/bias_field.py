"""Bias field correction by N4 (Tustison et al., IEEE Trans Med Imaging 2010;29:1310-1320)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from harmbench.errors import BadScanError
from harmbench.preprocessing.brain import Brain
from harmbench.preprocessing.nifti_read import Array, Volume

# Raise it whenever the same brain would get other intensities.
VERSION = 1

_SHRINK = 4  # the field is smooth, so it is estimated on every fourth voxel along each axis


def estimate_bias_field(
    image: Array,
    mask: npt.NDArray[np.bool_],
    spacing: Sequence[float],
    shrink: Sequence[int] = (_SHRINK,) * 3,
) -> Array:
    """Estimate the bias field of a volume by N4. Repeatable to the bit.

    Parameters
    ----------
    image
        Three axes in any order, float32, not negative.
    mask
        The foreground, of the same shape.
    spacing
        Distance of neighbouring voxels along each axis in mm.
    shrink
        N4 estimates the field on every n-th voxel along each axis; it is evaluated on all.

    Returns
    -------
    numpy.ndarray
        The field, of the same shape, float32, above zero. Divide the image by it.

    Raises
    ------
    BadScanError
        If N4 fails, for example on an empty mask.
    """
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    volume = sitk.GetImageFromArray(image.T)
    volume.SetSpacing(spacing)
    foreground = sitk.GetImageFromArray(mask.astype(np.uint8).T)
    foreground.CopyInformation(volume)
    factors = [min(factor, size) for factor, size in zip(shrink, volume.GetSize(), strict=True)]
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    try:
        n4.Execute(sitk.Shrink(volume, factors), sitk.Shrink(foreground, factors))
        log_field = n4.GetLogBiasFieldAsImage(volume)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise BadScanError(f"N4 failed: {reason}") from error
    field: Array = np.exp(sitk.GetArrayFromImage(log_field).T).astype(np.float32)
    return field


def correct_bias_field(brain: Brain) -> tuple[Brain, Array]:
    """Divide a brain, or a head, by its bias field. Repeatable to the bit.

    Returns
    -------
    brain, field
        The brain with corrected intensities; and the field, `(X, Y, Z)` float32 on its
        voxels, above zero.

    Raises
    ------
    BadScanError
        If N4 fails.
    """
    field = estimate_bias_field(brain.image.data, brain.mask, brain.image.voxel_size)
    corrected = np.where(brain.mask, brain.image.data / field, 0).astype(np.float32)
    return dataclasses.replace(brain, image=Volume(corrected, brain.image.affine)), field
