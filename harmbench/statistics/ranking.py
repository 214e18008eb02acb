"""Tiers and normalised scores of methods."""

from __future__ import annotations

import math

import numpy as np

from harmbench.statistics.estimate import Array
from harmbench.statistics.hypothesis import LEVEL, holm, mean_over, paired, wilcoxon_columns


def tiers(values: Array, *, higher_is_better: bool) -> list[tuple[int, float]]:
    """Sort methods into tiers: who cannot be told from the best of a tier shares it.

    The best by mean is tested against every other by the signed-rank test over the subjects
    that both have, corrected over the others by Holm's method; those that are worse at the
    5 % level are left for the next tier, whose best is the best of them.

    Parameters
    ----------
    values
        `(S, n, k)`: seeds, subjects and methods; NaN where there is no value, and each
        method has one at least.
    higher_is_better
        Which end is the best.

    Returns
    -------
    list of tuple
        Each method's tier, from 1, and its adjusted p-value against the best of that tier;
        NaN for the best itself, and for one that has nobody in common with it.
    """
    sign = 1.0 if higher_is_better else -1.0
    means = sign * mean_over(mean_over(values))
    # A mean of opposite infinities is nobody's best.
    left = sorted(range(values.shape[-1]), key=lambda k: (math.isnan(means[k]), -means[k]))
    found: dict[int, tuple[int, float]] = {}
    tier = 0
    while left:
        tier += 1
        best, others = left[0], left[1:]
        tests = wilcoxon_columns(sign * paired(values[..., [best]], values[..., others]))
        adjusted = holm([p for p, _ in tests])
        found[best] = (tier, math.nan)
        left = []
        for k, p, (_, favours_best) in zip(others, adjusted, tests, strict=True):
            # Means and ranks may disagree: who is ahead in ranks is no worse than the best.
            if p <= LEVEL and favours_best:
                left.append(k)
            else:
                found[k] = (tier, float(p))
    return [found[k] for k in range(values.shape[-1])]


def normalized(values: Array, floor: Array, ceiling: Array, *, decibels: bool) -> Array:
    """Place values on the scale whose 0 is the floor's and whose 1 the ceiling's.

    Of decibels the errors behind them are compared, for a perfect image has infinitely
    many: what counts is the share of the floor's mean squared error that is gone.

    Parameters
    ----------
    values, floor, ceiling
        Shapes that broadcast.
    decibels
        Whether the values are `10 log10` of an inverse error.

    Returns
    -------
    Array
        NaN where the floor and the ceiling do not span a scale.

    Examples
    --------
    >>> normalized(np.array([20.0, 30.0]), np.array(20.0), np.array(np.inf), decibels=True)
    array([0. , 0.9])
    """
    if decibels:
        values, floor, ceiling = (-np.power(10.0, -each / 10) for each in (values, floor, ceiling))
    with np.errstate(invalid="ignore", divide="ignore"):
        placed = (values - floor) / (ceiling - floor)
    spanned = np.isfinite(floor) & np.isfinite(ceiling) & (floor != ceiling)
    return np.where(spanned, placed, math.nan)
