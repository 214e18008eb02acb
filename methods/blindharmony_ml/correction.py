"""What maximum likelihood may change of a scan: a monotone curve and a smooth bias field."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor


def monotone(x: Tensor, knots: Tensor, heights: Tensor, slopes: Tensor) -> tuple[Tensor, Tensor]:
    """Apply a monotone rational-quadratic curve of [0, 1] onto itself.

    Gregory and Delbourgo's interpolation, as in the neural spline flow (Durkan et al. 2019,
    equations 4 and 5), but with knots that are given, and any slope at both ends.

    Parameters
    ----------
    x
        `(n,)` in [0, 1].
    knots
        `(K + 1,)` ascending from 0 to 1.
    heights
        `(K,)` logarithms of the rise from knot to knot, up to a common constant.
    slopes
        `(K + 1,)` logarithms of the slopes at the knots.

    Returns
    -------
    tuple
        The curve and the logarithm of its derivative, both `(n,)`.
    """
    rise = torch.softmax(heights, dim=0)
    start = torch.cat((rise.new_zeros(1), rise.cumsum(dim=0)))
    width = knots.diff()
    d = slopes.exp()
    k = torch.searchsorted(knots, x.detach(), right=True).sub(1).clamp(0, len(width) - 1)
    theta = ((x - knots[k]) / width[k]).clamp(0, 1)
    s_k, d_k, d_next = (rise / width)[k], d[k], d[k + 1]
    rest = theta * (1 - theta)
    denominator = s_k + (d_next + d_k - 2 * s_k) * rest
    y = start[k] + rise[k] * (s_k * theta * theta + d_k * rest) / denominator
    numerator = d_next * theta * theta + 2 * s_k * rest + d_k * (1 - theta) ** 2
    return y, 2 * (s_k / denominator).log() + numerator.log()


def cosine_terms(degree: int) -> list[tuple[int, ...]]:
    """Return the orders of the cosines along each axis, of total order 1 to `degree`."""
    orders = range(degree + 1)
    return [t for t in itertools.product(orders, repeat=3) if 0 < sum(t) <= degree]


def with_maxima_of(image: Tensor, changed: Tensor) -> Tensor:
    """Scale each of the changed slices `(s, H, W)` to the maximum that it had in `image`."""
    before, after = (x.amax(dim=(-2, -1), keepdim=True) for x in (image, changed))
    return changed * (before / after.clamp_min(1e-6))


class CosineField:
    """Smooth positive fields on a scan: the exponential of a sum of low-order cosines.

    Parameters
    ----------
    shape
        `(S, H, W)` of the scan.
    degree
        Greatest total order; the constant is none of the terms.

    Attributes
    ----------
    degrees
        `(P,)` float32: total order of each term.
    """

    def __init__(self, shape: tuple[int, int, int], degree: int) -> None:
        self.shape = shape
        self.terms = cosine_terms(degree)
        self.degrees = torch.tensor([float(sum(t)) for t in self.terms])

    def basis(self, index: Tensor) -> Tensor:
        """Return the terms on the slices `index` `(s,)`: `(P, s, H, W)`."""
        S, H, W = self.shape
        places = (
            (index + 0.5) / S,
            (torch.arange(H, device=index.device) + 0.5) / H,
            (torch.arange(W, device=index.device) + 0.5) / W,
        )
        i, j, k = torch.tensor(self.terms, device=index.device).unbind(dim=1)
        along = [
            torch.cos(torch.pi * order[:, None] * place)
            for order, place in zip((i, j, k), places, strict=True)
        ]
        return along[0][:, :, None, None] * along[1][:, None, :, None] * along[2][:, None, None]


def with_field(image: Tensor, field: Tensor) -> Tensor:
    """Multiply slices `(s, H, W)` by a field; each keeps the maximum that it had.

    Slices of the target were min-max scaled after whatever field their scanner had, so
    that a field says nothing of their maxima.
    """
    return with_maxima_of(image, image * field)
