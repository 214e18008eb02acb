"""Quantiles by linear interpolation between order statistics, as `numpy.quantile` by default.

`torch.quantile` refuses the 16 million voxels that a large scan may have.
"""

from __future__ import annotations

import torch
from torch import Tensor


def quantiles(values: Tensor, levels: Tensor) -> Tensor:
    """Return the quantiles of n >= 1 values at given levels.

    Parameters
    ----------
    values
        `(n,)`.
    levels
        `(K,)` in [0, 1].

    Returns
    -------
    Tensor
        `(K,)`, of the type of `values`.
    """
    ordered = values.sort().values
    return _between(ordered, levels.to(values.device).double() * (len(ordered) - 1))


def evenly_spaced_quantiles(values: Tensor, count: int) -> Tensor:
    """Return `count` quantiles of n >= 1 values, from the smallest to the largest: `(count,)`."""
    return quantiles(values, torch.linspace(0, 1, count, dtype=torch.float64))


def masked_quantile(values: Tensor, mask: Tensor, level: float) -> Tensor:
    """Return each row's quantile over the values in `mask`.

    Parameters
    ----------
    values, mask
        `(B, n)` finite numbers, and bool.
    level
        In [0, 1].

    Returns
    -------
    Tensor
        `(B, 1)`; infinite for a row with an empty mask.
    """
    ordered = values.masked_fill(~mask, torch.inf).sort(dim=1).values
    return _between(ordered, level * (mask.sum(dim=1, keepdim=True) - 1).clamp_min(0).double())


def _between(ordered: Tensor, position: Tensor) -> Tensor:
    """Interpolate ascending values `(..., n)` at fractional positions `(..., K)` in [0, n - 1]."""
    lower = position.floor()
    part = (position - lower).to(ordered.dtype)
    low, high = (ordered.gather(-1, end.long()) for end in (lower, position.ceil()))
    # Infinite values, which stand for an empty mask, cannot be interpolated.
    return torch.where(part > 0, torch.lerp(low, high, part), low)
