"""Bias field correction by N4 (Tustison et al., IEEE Trans Med Imaging 2010;29:1310-1320)."""

from __future__ import annotations

import dataclasses

import numpy as np

from harmbench.errors import BadScanError
from harmbench.preprocessing.brain import Brain
from harmbench.preprocessing.nifti_read import Array, Volume

# Raise it whenever the same brain would get other intensities.
VERSION = 1

_SHRINK = 4  # the field is smooth, so it is estimated on every fourth voxel along each axis


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
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    image = sitk.GetImageFromArray(brain.image.data.T)
    image.SetSpacing(brain.image.voxel_size)
    mask = sitk.GetImageFromArray(brain.mask.astype(np.uint8).T)
    mask.CopyInformation(image)
    shrink = [min(_SHRINK, size) for size in image.GetSize()]
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    try:
        n4.Execute(sitk.Shrink(image, shrink), sitk.Shrink(mask, shrink))
        log_field = n4.GetLogBiasFieldAsImage(image)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise BadScanError(f"N4 failed: {reason}") from error
    field = np.exp(sitk.GetArrayFromImage(log_field).T).astype(np.float32)
    corrected = np.where(brain.mask, brain.image.data / field, 0).astype(np.float32)
    return dataclasses.replace(brain, image=Volume(corrected, brain.image.affine)), field
