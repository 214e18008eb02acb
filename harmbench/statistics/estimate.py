"""Means over subjects with bootstrap confidence intervals.

Slices of one scan, and scans of one subject, are not independent observations; only subjects
are. So a subject's values are averaged first, and subjects are resampled.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from harmbench.util.seeds import numpy_generator

Array = npt.NDArray[np.float64]

RESAMPLES = 10_000
COVERAGE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean over subjects, and its confidence interval.

    Attributes
    ----------
    mean
        Mean over subjects; NaN if there are none.
    low, high
        Bounds of the 95 % interval; NaN with fewer than two subjects.
    n
        Number of subjects.
    """

    mean: float
    low: float
    high: float
    n: int


def by_subject(scores: pd.DataFrame) -> pd.DataFrame:
    """Average a score table over the slices and scans of every subject.

    Parameters
    ----------
    scores
        Columns subject, scan, slice, metric and value; NaN values do not count.

    Returns
    -------
    pandas.DataFrame
        One row a subject and one column a metric, both in order of name; NaN where a
        subject has no value. Infinite values stay so.
    """
    with np.errstate(invalid="ignore"):
        means = scores.groupby(["subject", "metric"])["value"].mean()
    return means.unstack("metric").sort_index(axis=0).sort_index(axis=1)


@lru_cache(maxsize=4)
def _resampling_counts(n: int, resamples: int, seed: int, stream: tuple[Any, ...]) -> Array:
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
    counts = _resampling_counts(len(values), resamples, seed, stream)
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

    Order statistics without interpolation, so that an infinite mean (PSNR of equal images) has
    bounds too (B. Efron, "Bootstrap Methods: Another Look at the
    Jackknife", Annals of Statistics 1979; the percentile method).

    Parameters
    ----------
    draws
        `(R,)`, none of them NaN.
    """
    tail = (1 - COVERAGE) / 2
    # Rounded first: 0.025 of 10,000 is 250, not slightly more.
    indices = [math.ceil(round(share * len(draws), 6)) - 1 for share in (tail, 1 - tail)]
    ordered = np.partition(draws, indices)
    return float(ordered[indices[0]]), float(ordered[indices[1]])


def bootstrap(values: npt.ArrayLike, seed: int = 0) -> Estimate:
    """Estimate the mean over subjects with a percentile bootstrap interval.

    The mean of n subjects drawn with replacement, 10,000 times; the bounds are the 2.5th
    and 97.5th percentile of those means.

    Parameters
    ----------
    values
        `(n,)`, one per subject; NaN is left out.
    seed
        Equal seeds draw equal subjects, so that methods are compared on the same resamples.

    Examples
    --------
    >>> bootstrap([20.0, 22.0, float("nan")])
    Estimate(mean=21.0, low=20.0, high=22.0, n=2)
    """
    subjects = np.asarray(values, dtype=np.float64)
    subjects = subjects[~np.isnan(subjects)]
    n = len(subjects)
    if n == 0:
        return Estimate(math.nan, math.nan, math.nan, 0)
    # The mean of opposite infinities is NaN, of which NumPy warns.
    with np.errstate(invalid="ignore"):
        mean = float(subjects.mean())
        if n == 1 or math.isnan(mean):
            return Estimate(mean, math.nan, math.nan, n)
        means = resampled_means(subjects[:, None], RESAMPLES, seed)[:, 0]
    return Estimate(mean, *percentile_interval(means), n)


def bootstrap_columns(values: Array) -> list[Estimate]:
    """Apply `bootstrap` to every column.

    Parameters
    ----------
    values
        `(n, k)`: n subjects; NaN is left out.
    """
    n = len(values)
    if n < 2 or np.isnan(values).any():
        return [bootstrap(column) for column in values.T]
    draws = np.ascontiguousarray(resampled_means(values, RESAMPLES).T)
    return [
        bootstrap(column)
        if np.isnan(drawn).any()
        else Estimate(mean, *percentile_interval(drawn), n)
        for column, mean, drawn in zip(values.T, values.mean(axis=0).tolist(), draws, strict=True)
    ]


def bootstrap_statistic(
    subjects: Array, statistic: Callable[[Array], Array], seed: int = 0
) -> Estimate:
    """Estimate a statistic of all subjects together, such as a correlation.

    Parameters
    ----------
    subjects
        `(n, k)`, a row per subject.
    statistic
        Maps resamples `(R, n, k)` to their values `(R,)`; resamples with NaN do not count.
    seed
        As for `bootstrap`.
    """
    n = len(subjects)
    if n == 0:
        return Estimate(math.nan, math.nan, math.nan, 0)
    value = float(statistic(subjects[None])[0])
    if n == 1:
        return Estimate(value, math.nan, math.nan, n)
    drawn = numpy_generator(seed, "bootstrap", n).integers(n, size=(RESAMPLES, n))
    draws = statistic(subjects[drawn])
    draws = draws[~np.isnan(draws)]
    bounds = percentile_interval(draws) if len(draws) else (math.nan, math.nan)
    return Estimate(value, *bounds, n)


def estimates(scores: pd.DataFrame, seed: int = 0) -> dict[str, Estimate]:
    """Estimate every metric of a score table over subjects, by its name."""
    subjects = by_subject(scores)
    return {str(metric): bootstrap(subjects[metric].to_numpy(), seed) for metric in subjects}
