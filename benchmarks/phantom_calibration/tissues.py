"""Tissue classes, contrast, noise and sharpness of one volume; one procedure for all scans."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from harmbench.preprocessing.nifti_read import Array

Mask = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]

CSF, GREY, WHITE = 1, 2, 3
_SAMPLES, _ITERATIONS = 100_000, 30  # voxels that the mixture is fitted to, and steps
_LAPLACE_NORM = 6.0**1.5  # root of the sum of squares of the kernel in three dimensions
_MAD = 0.6745  # median absolute deviation of a standard normal variable
# A unit step blurred by a Gaussian: FWHM times the slope in the middle.
_FWHM_OVER_SLOPE = 2 * math.sqrt(2 * math.log(2)) / math.sqrt(2 * math.pi)


class Levels(NamedTuple):
    """Intensities of the three classes of a T1-weighted scan."""

    csf: float
    grey: float
    white: float


def segment(image: Array, mask: Mask, priors: Array) -> npt.NDArray[np.uint8]:
    """Classify a T1-weighted brain: a mixture of three Gaussians with spatial priors.

    As Ashburner & Friston (NeuroImage 2005;26:839-851) without their deformation: the prior
    of a voxel is fixed, and expectation-maximisation fits mean and variance of each class.
    A mixture without priors fails where the contrast is low: on `ixihh` its grey matter is
    half CSF.

    Parameters
    ----------
    image, mask
        `(S, H, W)`: the image without its bias field, and the brain.
    priors
        `(3, S, H, W)`: probability of CSF, grey and white matter.

    Returns
    -------
    numpy.ndarray
        `(S, H, W)` uint8: 1 CSF, 2 grey matter, 3 white matter, 0 outside the mask.
    """
    values, weights = image[mask].astype(np.float64), priors[:, mask].astype(np.float64)
    step = max(1, len(values) // _SAMPLES)
    sample, prior = values[::step], weights[:, ::step]
    posterior = prior
    for _ in range(_ITERATIONS):
        mass = posterior.sum(axis=1)
        means = posterior @ sample / mass
        variances = (posterior * (sample - means[:, None]) ** 2).sum(axis=1) / mass
        posterior = _posterior(sample, prior, means, variances)
    result = np.zeros(image.shape, dtype=np.uint8)
    result[mask] = 1 + _posterior(values, weights, means, variances).argmax(axis=0)
    return result


def _posterior(values: Values, prior: Values, means: Values, variances: Values) -> Values:
    """Return the probability of each class: `(3, n)`."""
    distance = (values - means[:, None]) ** 2 / variances[:, None]
    density = prior * np.exp(-distance / 2) / np.sqrt(variances[:, None])
    result: Values = density / density.sum(axis=0).clip(min=1e-300)
    return result


def levels(image: Array, tissue: npt.NDArray[np.uint8]) -> Levels:
    """Return the mean intensity of each class; NaN where a class has no voxel."""
    means = [
        float(image[tissue == value].mean()) if (tissue == value).any() else float("nan")
        for value in (CSF, GREY, WHITE)
    ]
    return Levels(*means)


def noise(image: Array, inside: Mask, step: int = 2) -> float:
    """Return the noise in a homogeneous tissue, from second differences.

    Immerkaer's estimator (Comput Vis Image Underst 1996;64:300-302) in three dimensions, with
    the median absolute deviation. It needs no background, so it is valid for magnitude scans
    without skull where the signal is many times the noise. It is exact for white noise. For
    other noise it is the standard deviation of white noise with the same power at the
    frequency of the kernel, half a cycle per step along each axis.

    Parameters
    ----------
    image, inside
        `(S, H, W)`; only voxels whose block of `2 step + 1` voxels is all inside are used.
    step
        Voxels between the samples. Interpolation removes most of the noise at step 1, and
        much less at step 2.
    """
    core = ndimage.binary_erosion(inside, np.ones((2 * step + 1,) * 3))
    kernel = np.zeros(2 * step + 1)
    kernel[[0, step, -1]] = 1, -2, 1
    values = image.astype(np.float64)
    for axis in range(3):
        values = ndimage.correlate1d(values, kernel, axis=axis)
    chosen = values[core]
    deviation = np.median(np.abs(chosen - np.median(chosen)))
    return float(deviation / _MAD / _LAPLACE_NORM)


def edge_width(image: Array, tissue: npt.NDArray[np.uint8], spacing: tuple[float, ...]) -> float:
    """Return the width in mm of the edge between grey and white matter.

    The contrast over the gradient where the intensity is half-way (within 10 % of the
    contrast) between both tissues: the FWHM of the Gaussian that blurs an ideal step to this
    gradient. Median over these voxels. It includes the partial volume of a folded cortex,
    which is the same for all scans.

    Parameters
    ----------
    image, tissue
        `(S, H, W)`: the image without its bias field, and its classes.
    spacing
        Distance of neighbours in mm.
    """
    mean = levels(image, tissue)
    contrast = mean.white - mean.grey
    gradient = np.sqrt(sum(part**2 for part in np.gradient(image, *spacing)))
    middle = np.abs(image - (mean.white + mean.grey) / 2) < 0.1 * contrast
    parenchyma = ndimage.binary_erosion(tissue >= GREY, np.ones((3, 3, 3)))
    slope = float(np.median(gradient[middle & parenchyma]))
    return contrast / slope * _FWHM_OVER_SLOPE
