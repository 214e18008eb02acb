"""Ranks, tiers and normalised scores of methods."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import rankdata

from harmbench.statistics.estimate import Array
from harmbench.statistics.hypothesis import (
    LEVEL,
    holm,
    nan_mean,
    paired_differences,
    wilcoxon_columns,
)


def ranks(values: Array, *, higher_is_better: bool) -> Array:
    """Rank methods from 1, the best; ties share their mean rank.

    Parameters
    ----------
    values
        `(..., k)`: one value a method; NaN where there is none.
    higher_is_better
        Direction of the values.

    Returns
    -------
    Array
        `(..., k)`; k, the worst rank, for every method without a value.

    Examples
    --------
    >>> ranks(np.array([0.3, np.nan, 0.3, 0.2]), higher_is_better=True)
    array([1.5, 4. , 1.5, 3. ])
    """
    signed = -values if higher_is_better else values
    # "omit" is slower, and needed only where a value is missing.
    policy = "omit" if np.isnan(values).any() else "propagate"
    by_row: Array = rankdata(signed, axis=-1, nan_policy=policy)
    return np.where(np.isnan(values), values.shape[-1], by_row)


def tiers(values: Array, *, higher_is_better: bool) -> list[tuple[int, float]]:
    """Sort methods into tiers without significant differences to the best of the tier.

    The best by mean is tested against every other by the signed-rank test over their common
    subjects, corrected over the others by Holm's method; those that are worse at the 5 %
    level are left for the next tier, whose best is the best of them.

    Parameters
    ----------
    values
        `(S, n, k)`: seeds, subjects and methods; NaN where there is no value. Each method
        has at least one value.
    higher_is_better
        Direction of the values.

    Returns
    -------
    list of tuple
        Each method's tier, from 1, and its adjusted p-value against the best of that tier;
        NaN for the best itself, and for a method without common subjects.
    """
    sign = 1.0 if higher_is_better else -1.0
    means = sign * nan_mean(nan_mean(values))
    # A mean of opposite infinities is NaN, and ranks last.
    remaining = sorted(range(values.shape[-1]), key=lambda k: (math.isnan(means[k]), -means[k]))
    results: dict[int, tuple[int, float]] = {}
    tier = 0
    while remaining:
        tier += 1
        best, others = remaining[0], remaining[1:]
        tests = wilcoxon_columns(
            sign * paired_differences(values[..., [best]], values[..., others])
        )
        adjusted = holm([p for p, _ in tests])
        results[best] = (tier, math.nan)
        remaining = []
        for k, p, (_, favours_best) in zip(others, adjusted, tests, strict=True):
            # Mean and rank sum may disagree: a method that is ahead in ranks is not worse.
            if p <= LEVEL and favours_best:
                remaining.append(k)
            else:
                results[k] = (tier, float(p))
    return [results[k] for k in range(values.shape[-1])]


def normalized(values: Array, floor: Array, ceiling: Array, *, decibels: bool) -> Array:
    """Scale values linearly to 0 at the floor and 1 at the ceiling.

    Decibels are converted to errors first, since a perfect image has an infinite PSNR: the
    score is the share of the floor's mean squared error that was removed.

    Parameters
    ----------
    values, floor, ceiling
        Shapes that broadcast.
    decibels
        Whether the values are `10 log10` of an inverse error.

    Returns
    -------
    Array
        NaN where floor and ceiling are equal or not finite.

    Examples
    --------
    >>> normalized(np.array([20.0, 30.0]), np.array(20.0), np.array(np.inf), decibels=True)
    array([0. , 0.9])
    """
    if decibels:
        values, floor, ceiling = (
            -np.power(10.0, -value / 10) for value in (values, floor, ceiling)
        )
    with np.errstate(invalid="ignore", divide="ignore"):
        placed = (values - floor) / (ceiling - floor)
    spanned = np.isfinite(floor) & np.isfinite(ceiling) & (floor != ceiling)
    return np.where(spanned, placed, math.nan)
