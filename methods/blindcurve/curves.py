"""Monotone rational-quadratic curves through given points, with given slopes there.

Gregory and Delbourgo, IMA J Numer Anal 1982;2:123-130; the notation is that of the neural
spline flow (Durkan et al., NeurIPS 2019, equations 4 and 5).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


def monotone(x: Tensor, knots: Tensor, heights: Tensor, slopes: Tensor) -> tuple[Tensor, Tensor]:
    """Apply a monotone curve of [0, 1] onto itself.

    Parameters
    ----------
    x
        `(n,)` in [0, 1].
    knots
        `(K + 1,)` ascending from 0 to 1.
    heights
        `(K,)`: logarithms of the secants from knot to knot, up to a common constant.
    slopes
        `(K + 1,)`: logarithms of the slopes at the knots.

    Returns
    -------
    tuple
        The curve and the logarithm of its derivative, both `(n,)`.
    """
    rise = torch.softmax(knots.diff().log() + heights, dim=0)
    y = torch.cat((rise.new_zeros(1), rise.cumsum(dim=0)))
    positions = _located(x, knots, y, slopes.exp())
    return positions.heights(), positions.log_slopes()


@dataclass(frozen=True, eq=False, kw_only=True)
class _Positions:
    """Values in the bins of a curve; every attribute is of the values' shape.

    Attributes
    ----------
    theta
        Position within the bin, in [0, 1].
    start, rise
        Height of the curve at the bin's lower end, and its rise over the bin.
    secant
        Rise divided by width.
    lower_slope, upper_slope
        Slopes at the bin's ends.
    """

    theta: Tensor
    start: Tensor
    rise: Tensor
    secant: Tensor
    lower_slope: Tensor
    upper_slope: Tensor

    @property
    def _denominator(self) -> Tensor:
        bend = self.lower_slope + self.upper_slope - 2 * self.secant
        return self.secant + bend * self.theta * (1 - self.theta)

    def heights(self) -> Tensor:
        """Return the curve."""
        theta = self.theta
        numerator = self.secant * theta * theta + self.lower_slope * theta * (1 - theta)
        return self.start + self.rise * numerator / self._denominator

    def log_slopes(self) -> Tensor:
        """Return the logarithm of the curve's derivative."""
        theta, complement = self.theta, 1 - self.theta
        numerator = (
            self.upper_slope * theta * theta
            + 2 * self.secant * theta * complement
            + self.lower_slope * complement * complement
        )
        return 2 * (self.secant / self._denominator).log() + numerator.log()


def _located(values: Tensor, x: Tensor, y: Tensor, slopes: Tensor) -> _Positions:
    """Find the bin of each value.

    Parameters
    ----------
    values
        Of any shape; beyond the points they go to the nearer end.
    x, y
        `(K + 1,)` each, strictly ascending: the points of the curve.
    slopes
        `(K + 1,)`, positive: at the points.
    """
    width, rise = x.diff(), y.diff()
    k = torch.searchsorted(x, values.detach(), right=True).sub_(1).clamp_(0, len(width) - 1)
    return _Positions(
        theta=((values - x[k]) / width[k]).clamp(0, 1),
        start=y[k],
        rise=rise[k],
        secant=(rise / width)[k],
        lower_slope=slopes[k],
        upper_slope=slopes[k + 1],
    )
