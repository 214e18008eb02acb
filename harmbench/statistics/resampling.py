"""Bootstrap resampling of subjects."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from harmbench.util.seeds import numpy_generator

Array = npt.NDArray[np.float64]

RESAMPLES = 10_000
# Draws that are stored with a cell, for comparisons of methods.
DRAWS = 1000
COVERAGE = 0.95


@lru_cache(maxsize=16)
def resampling_counts(n: int, resamples: int, seed: int = 0, *stream: Any) -> Array:
    """Return how often each of n subjects is drawn in each resample: `(resamples, n)`."""
    drawn = numpy_generator(seed, "bootstrap", n, *stream).integers(n, size=(resamples, n))
    counts = np.zeros((resamples, n))
    np.add.at(counts, (np.arange(resamples)[:, None], drawn), 1.0)
    return counts


def resampled_means(values: Array, resamples: int, seed: int = 0, *stream: Any) -> Array:
    """Return the column means of bootstrap resamples of the subjects.

    Parameters
    ----------
    values
        `(n, k)`: n subjects; NaN is left out.
    resamples
        Number of resamples.
    seed, stream
        Equal ones draw equal subjects.

    Returns
    -------
    Array
        `(resamples, k)`; NaN where no subject with a value was drawn.
    """
    counts = resampling_counts(len(values), resamples, seed, *stream)
    defined = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        means = counts @ np.where(np.isfinite(values), values, 0.0)
        means /= len(values) if defined.all() else counts @ defined.astype(np.float64)
        for infinity in (math.inf, -math.inf):
            # Added separately, since 0 times infinity is NaN.
            if (values == infinity).any():
                means += np.where(
                    counts @ (values == infinity).astype(np.float64) > 0, infinity, 0.0
                )
    return means


def percentile_interval(draws: Array) -> tuple[float, float]:
    """Return the 2.5th and the 97.5th percentile of resampled values.

    Order statistics without interpolation, so that infinite values have bounds too (B. Efron,
    "Bootstrap Methods: Another Look at the Jackknife", Annals of Statistics 1979; the percentile
    method).

    Parameters
    ----------
    draws
        `(R,)`, none of them NaN.
    """
    tail = (1 - COVERAGE) / 2
    return order_statistics(draws, tail, 1 - tail)


def order_statistics(draws: Array, low: float, high: float) -> tuple[float, float]:
    """Return the draws below which the two shares of all draws lie, without interpolation."""
    # Rounded first: 0.025 of 10,000 is 250, not slightly more.
    indices = [
        min(max(math.ceil(round(share * len(draws), 6)) - 1, 0), len(draws) - 1)
        for share in (low, high)
    ]
    ordered = np.partition(draws, indices)
    return float(ordered[indices[0]]), float(ordered[indices[1]])


def bootstrap_draws(
    subjects: Array,
    statistic: Callable[[Array], Array],
    seed: int = 0,
    resamples: int = DRAWS,
) -> Array:
    """Return a statistic of bootstrap resamples of the subjects.

    The resamples depend on the number of subjects and the seed only. So the draws of two
    methods, of the same subjects in the same order, are paired.

    Parameters
    ----------
    subjects
        `(n, k)`, a row per subject; n is at least 1.
    statistic
        Maps resamples `(R, n, k)` to their values `(R,)`; NaN where it is not defined.
    seed
        Of the resamples.
    resamples
        Their number R.

    Returns
    -------
    Array
        `(R,)`.
    """
    n = len(subjects)
    drawn = numpy_generator(seed, "bootstrap", n).integers(n, size=(resamples, n))
    return statistic(subjects[drawn])


def paired_difference(first: Array, second: Array) -> tuple[float, float, float]:
    """Compare a statistic of two methods by a paired bootstrap over subjects.

    Parameters
    ----------
    first, second
        `(R,)`: draws of `bootstrap_draws`, of the same subjects in the same order. Resamples
        in which either is NaN do not count.

    Returns
    -------
    tuple
        The bounds of the 95 % percentile interval of first minus second; and the two-sided
        p-value, twice the share of resamples on the rarer side of 0. All NaN without resamples.
    """
    differences = first - second
    differences = differences[~np.isnan(differences)]
    count = len(differences)
    if not count:
        return math.nan, math.nan, math.nan
    rarer = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    return *percentile_interval(differences), min(1.0, 2 * (rarer + 1) / (count + 1))
