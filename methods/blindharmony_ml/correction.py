"""The corrections that maximum likelihood estimates: a monotone curve and a bias field."""

from __future__ import annotations

import torch
from torch import Tensor

from .._cosine_field import with_maxima_of
from .._curves import locate


def monotone(x: Tensor, knots: Tensor, heights: Tensor, slopes: Tensor) -> tuple[Tensor, Tensor]:
    """Apply a monotone rational-quadratic curve of [0, 1] onto itself; see `_curves`.

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
    y = torch.cat((rise.new_zeros(1), rise.cumsum(dim=0)))
    positions = locate(x, knots, y, slopes.exp())
    return positions.heights(), positions.log_slopes()


def with_field(image: Tensor, field: Tensor, *, slicewise: bool) -> Tensor:
    """Multiply slices `(s, H, W)` of a scan by a field.

    The target's scans were scaled after the scanner's field: slice by slice, so that a field does
    not determine the slices' maxima, or as volumes, so that it does not determine their mean.

    Parameters
    ----------
    image, field
        `(s, H, W)`: not negative, and positive.
    slicewise
        Whether every slice keeps its maximum; else all slices together keep their mean, up to
        values that are clipped at 1.
    """
    changed = image * field
    if slicewise:
        return with_maxima_of(image, changed)
    return (changed * (image.mean() / changed.mean().clamp_min(1e-6))).clamp_max(1)
