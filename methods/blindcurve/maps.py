"""The changes that `blindcurve` can make: one monotone curve and one smooth bias field."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .._cosine_field import Cosines, with_maxima_of
from .._curves import locate
from .._quantiles import quantiles

# Quantiles are computed from at most this number of voxels, evenly spaced.
_MAX_VOXELS = 50_000
_MIN_GAP = 1e-5


def levels(K: int) -> Tensor:
    """Return K + 1 quantile levels from 0 to 1, denser towards both ends."""
    return (1 - torch.cos(torch.pi * torch.arange(K + 1) / K)) / 2


def foreground_quantiles(values: Tensor, at: Tensor) -> Tensor:
    """Return the quantiles of n >= 1 values at levels from 0 to 1, ascending: `(K + 1,)`.

    The inner ones are of evenly spaced values only; the first and the last are exact.
    """
    inner = quantiles(values[:: max(1, len(values) // _MAX_VOXELS)], at)
    return torch.cat((values.min()[None], inner[1:-1], values.max()[None]))


def ascending(knots: Tensor) -> Tensor:
    """Return `(..., K)` knots within [0, 1] that ascend strictly, close to those given."""
    gaps = torch.arange(knots.shape[-1], device=knots.device) * _MIN_GAP
    return torch.cummax(knots.clamp(0, 1), dim=-1).values + gaps


@dataclass(frozen=True, eq=False)
class Curve:
    """A smooth, strictly monotone curve through K + 1 points.

    Rational-quadratic pieces (Gregory and Delbourgo 1982), whose slopes at the knots are
    weighted harmonic means of the neighbouring secants' (Fritsch and Butland 1984).

    Attributes
    ----------
    x, y
        `(K + 1,)`, strictly ascending.
    """

    x: Tensor
    y: Tensor

    @property
    def slopes(self) -> Tensor:
        """The slopes at the knots: `(K + 1,)`, positive."""
        width, secant = self.x.diff(), self.y.diff() / self.x.diff()
        left, right = secant[:-1], secant[1:]
        share = (width[:-1] + 2 * width[1:]) / (3 * (width[:-1] + width[1:]))
        inner = left * right / (share * right + (1 - share) * left)
        return torch.cat((secant[:1], inner, secant[-1:]))

    def __call__(self, values: Tensor) -> Tensor:
        """Map values of any shape; beyond the knots they go to the nearer end."""
        return locate(values, self.x, self.y, self.slopes).heights()

    @property
    def exponent(self) -> float:
        """The power that the curve is most like: the slope of log x over log y in the middle."""
        part = slice(len(self.x) // 4, len(self.x) - 2)
        u, v = (knots[part].clamp_min(1e-3).log() for knots in (self.y, self.x))
        u = u - u.mean()
        slope = (u * (v - v.mean())).sum() / u.square().sum().clamp_min(1e-9)
        return float(slope.detach().clamp(0.1, 10))


def in_range(changed: Tensor, image: Tensor, slicewise: bool) -> Tensor:
    """Scale changed slices `(S, H, W)` to their maxima in `image` if `slicewise`.

    Slice-wise min-max scaling follows the scanner's field, so each slice must be scaled again
    after a field is removed.
    """
    return with_maxima_of(image, changed) if slicewise else changed


@dataclass(frozen=True, eq=False, kw_only=True)
class Map:
    """The change of one scan: the field is divided out, then the curve is applied.

    Attributes
    ----------
    field
        `(P,)` coefficients of the cosines: the logarithm of the scan's bias field.
    curve
        From the scan's intensities without the field to the target's.
    anchor
        The curve that matches the scan's quantiles to the target population's.
    slicewise
        See `in_range`.
    flag
        Reason why the scan differs from the training scans; empty if it does not.
    unchanged
        Whether the scan is returned as it is, so that field and curve are not applied.
    """

    field: Tensor
    curve: Curve
    anchor: Curve
    slicewise: bool
    flag: str = ""
    unchanged: bool = False

    def without_field(self, image: Tensor, cosines: Cosines) -> Tensor:
        """Divide the field out of a scan `(S, H, W)`."""
        shape: tuple[int, int, int] = (image.shape[0], image.shape[1], image.shape[2])
        return in_range(image * (-cosines.field(self.field, shape)).exp(), image, self.slicewise)

    def __call__(self, image: Tensor, mask: Tensor, cosines: Cosines) -> Tensor:
        """Harmonise a scan `(S, H, W)`; the background does not change."""
        if self.unchanged or not bool(mask.any()):
            return image.clone()
        values = self.curve(self.without_field(image, cosines)[mask])
        return image.masked_scatter(mask, values.clamp(0, 1))
