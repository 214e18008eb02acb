"""Blur by what limits resolution, as a Gaussian of given widths."""

from __future__ import annotations

import math

from torch import Tensor

from harmbench.cohorts.phantom.lattice import Lattice


def blur(volume: Tensor, fwhm: tuple[float, float, float], lattice: Lattice) -> None:
    """Blur `(D, H, W)` in place by a Gaussian of FWHM in mm along z, x and y."""
    for axis, (width, spacing) in enumerate(zip(fwhm, lattice.spacing, strict=True)):
        variance = width**2 / (8 * math.log(2)) / spacing**2
        # Three taps have a variance of twice the side's weight; one pass does at 1.2 mm.
        passes = max(1, math.ceil(2 * variance))
        side = variance / 2 / passes
        count = volume.shape[axis] - 2
        for _ in range(passes):
            inner, below, above = (volume.narrow(axis, start, count) for start in (1, 0, 2))
            inner.copy_((1 - 2 * side) * inner + side * (below + above))
