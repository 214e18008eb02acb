"""The corrections that maximum likelihood estimates: a monotone curve and a bias field."""

from __future__ import annotations

import torch
from torch import Tensor

from .._cosine_field import with_maxima_of


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


def with_field(image: Tensor, field: Tensor) -> Tensor:
    """Multiply slices `(s, H, W)` by a field; each keeps the maximum that it had.

    Slices of the target were min-max scaled after whatever field their scanner had, so
    that a field says nothing of their maxima.
    """
    return with_maxima_of(image, image * field)
