"""Ranks and normalised scores of methods."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from harmbench.statistics.estimate import Array


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
    by_row = pd.DataFrame(signed.reshape(-1, values.shape[-1])).rank(axis=1).to_numpy()
    return np.where(np.isnan(values), values.shape[-1], by_row.reshape(values.shape))


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
