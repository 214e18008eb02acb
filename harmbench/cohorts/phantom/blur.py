"""Blur by what limits resolution, as a Gaussian of given widths."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from harmbench.cohorts.phantom.lattice import Lattice


def blur(volume: Tensor, fwhm: tuple[float, float, float], lattice: Lattice) -> float:
    """Blur `(D, H, W)` in place by a Gaussian of FWHM in mm along z, x and y.

    Returns
    -------
    float
        Standard deviation of white noise after the blur, over that before.
    """
    kept = 1.0
    for axis, (width, spacing) in enumerate(zip(fwhm, lattice.spacing, strict=True)):
        variance = width**2 / (8 * math.log(2)) / spacing**2
        # Three taps have a variance of twice the side's weight; one pass does at 1.2 mm.
        passes = math.ceil(2 * variance)
        if not passes:
            continue
        side = variance / 2 / passes
        count = volume.shape[axis] - 2
        for _ in range(passes):
            inner, below, above = (volume.narrow(axis, start, count) for start in (1, 0, 2))
            inner.copy_((1 - 2 * side) * inner + side * (below + above))
        kept *= _kept(side, passes)
    return kept


def _kept(side: float, passes: int) -> float:
    """Return the root of the sum of the squared weights of repeated three-tap kernels."""
    weights = np.ones(1)
    for _ in range(passes):
        weights = np.convolve(weights, [side, 1 - 2 * side, side])
    return float(np.sqrt((weights**2).sum()))
