"""Noise of a real scan on its own voxels, before it is resampled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from harmbench.preprocessing.nifti_read import load_volume
from harmbench.util.resample import resample
from phantom_calibration import tissues
from phantom_calibration.template import GRID


def acquired_noise(
    path: Path, white: npt.NDArray[np.bool_], mni_to_scan: npt.NDArray[np.float64]
) -> dict[str, float]:
    """Return SNR and grain of a scan on its own voxels.

    Parameters
    ----------
    path
        The T1-weighted volume.
    white
        `(S, H, W)` on `GRID`: white matter.
    mni_to_scan
        `(4, 4)`: from MNI152 to the millimetres of the scan.
    """
    volume = load_volume(path)
    to_grid = np.linalg.inv(mni_to_scan) @ volume.affine
    shape = volume.data.shape
    inside = (
        resample(white.astype(np.float32), GRID.affine, to_grid, (shape[0], shape[1], shape[2]))
        > 0.9
    )
    finest, coarse = (tissues.noise(volume.data, inside, step) for step in (1, 2))
    return {
        "acquired_snr": float(volume.data[inside].mean()) / coarse,
        "acquired_grain": coarse / finest,
        "acquired_voxel_mm3": volume.voxel_volume,
    }
