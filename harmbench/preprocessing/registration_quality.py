"""Quality of a registration: agreement with the template, and plausibility of the affine."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from harmbench.preprocessing.nifti_read import Volume
from harmbench.util.resample import resample

# 47 real brains score 0.60 to 0.78; with a lesion of 65 ml, or several perturbations together,
# 0.50 to 0.72 (benchmarks/README.md). 12 of them stored back to front or upside down, whose
# registration must fail, score 0.22 to 0.41; a ball of noise 0.19.
MIN_CORRELATION = 0.42
# A score in between may be a brain that is unlike the template, so such scans are reported
# but not left out.
DOUBTFUL_CORRELATION = 0.5

# Size of the brain relative to the template along any axis. Adults have 0.78 to 1.06; a
# newborn's brain of 0.35 litres has 0.57 on average.
MIN_SCALE, MAX_SCALE = 0.5, 1.3
# Largest by smallest. The ratio of a head's width to its length varies by 20 % around the
# template's, and adults reach 1.2.
MAX_SCALE_RATIO = 1.5

_WINDOW = 12.0  # mm, standard deviation


def axis_scales(matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the singular values of a `(4, 4)` affine matrix, largest first, `(3,)`."""
    values: npt.NDArray[np.float64] = np.linalg.svd(matrix[:3, :3])[1]
    return values


def implausibility(matrix: npt.NDArray[np.float64]) -> str | None:
    """Return why no brain can have this affine transform from the template, or None.

    Parameters
    ----------
    matrix
        `(4, 4)`: from MNI152 to the scan's own millimetres.
    """
    if not np.linalg.det(matrix[:3, :3]) > 0:
        return "the affine transform mirrors the brain"
    scales = axis_scales(matrix)
    if scales[2] < MIN_SCALE or scales[0] > MAX_SCALE or scales[0] > MAX_SCALE_RATIO * scales[2]:
        sizes = ", ".join(f"{scale:.2f}" for scale in scales)
        return (
            f"the brain would be {sizes} times as large as the template along its axes "
            f"(expected {MIN_SCALE} to {MAX_SCALE}, ratio <= {MAX_SCALE_RATIO})"
        )
    return None


def correlation(
    moving: Volume,
    matrix: npt.NDArray[np.float64],
    fixed: Volume,
    inside: npt.NDArray[np.bool_],
) -> float:
    """Return Pearson's correlation of a moved volume with a fixed one, inside its brain."""
    moved = resample(moving.data, moving.affine, matrix @ fixed.affine, fixed.data.shape)
    return float(np.corrcoef(moved[inside], fixed.data[inside])[0, 1])


def local_correlation(
    moving: Volume,
    matrix: npt.NDArray[np.float64],
    fixed: Volume,
    inside: npt.NDArray[np.bool_],
) -> float:
    """Return the mean of Pearson's correlations in Gaussian windows, inside the fixed brain.

    Neither a bias field nor a lesion elsewhere changes the correlation in a window, so
    damaged brains differ much more from wrong registrations than by one correlation.
    """
    from scipy import ndimage

    moved = resample(moving.data, moving.affine, matrix @ fixed.affine, fixed.data.shape)
    sigma = [_WINDOW / size for size in fixed.voxel_size]
    weight = inside.astype(np.float32)

    def windowed(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        total = ndimage.gaussian_filter(values * weight, sigma, truncate=3.0)
        inner: npt.NDArray[np.float64] = total[inside].astype(np.float64)
        return inner

    total = windowed(np.ones_like(weight))
    spreads = [float(values[inside].std()) for values in (moved, fixed.data)]
    if spreads[0] <= 1e-6 * float(np.abs(moved[inside]).max()):
        return 0.0  # constant, up to rounding
    x, y = moved / spreads[0], fixed.data / spreads[1]
    mean_x, mean_y = windowed(x) / total, windowed(y) / total
    variance_x = windowed(x * x) / total - mean_x**2
    variance_y = windowed(y * y) / total - mean_y**2
    covariance = windowed(x * y) / total - mean_x * mean_y
    variance = np.maximum(variance_x, 1e-6) * np.maximum(variance_y, 1e-6)
    return float((covariance / np.sqrt(variance)).mean())
