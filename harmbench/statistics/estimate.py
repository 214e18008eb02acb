"""Means over subjects with confidence intervals.

Slices of one scan, and scans of one subject, are not independent observations; only subjects
are. So a subject's values are averaged first, and n is the number of subjects.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtr, ndtri, stdtrit  # scipy.stats takes a second to import

from harmbench.statistics.resampling import (
    COVERAGE,
    RESAMPLES,
    bootstrap_draws,
    order_statistics,
    resampling_counts,
)
from harmbench.statistics.resampling import Array as Array

# Fewer subjects have too few distinct resamples.
FEWEST_RESAMPLED = 5
# The 2.5 % and 97.5 % quantiles of 1,999 draws are the 50th and the 1,950th.
_RESAMPLES = 1999
_CHUNK = 2048
# A bound is at most this many times as far from the mean as Student's: resamples that hold
# almost equal subjects have no finite statistic.
_WIDEST = 3.0
# A resample whose variance is below this share of the sample's is constant.
_CONSTANT = 1e-12


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


def mean_interval(values: npt.ArrayLike) -> Estimate:
    """Estimate the mean over subjects with its 95 % confidence interval.

    Parameters
    ----------
    values
        `(n,)`, one per subject; NaN is left out.

    Returns
    -------
    Estimate
        See `mean_intervals`.

    Examples
    --------
    >>> estimate = mean_interval([20.0, 22.0, float("nan")])
    >>> estimate.mean, round(estimate.low, 1), round(estimate.high, 1), estimate.n
    (21.0, 8.3, 33.7, 2)
    """
    return mean_intervals(np.asarray(values, dtype=np.float64)[:, None])[0]


def mean_intervals(values: Array) -> list[Estimate]:
    """Estimate the mean over subjects of every column, with its 95 % confidence interval.

    From five subjects on, the studentised bootstrap (P. Hall, "Theoretical Comparison of
    Bootstrap Confidence Intervals", Annals of Statistics 1988), which follows skewed values; with
    fewer, Student's t. A bound is at most three times as far from the mean as Student's. The
    resamples depend on n only, so equal values have equal intervals.

    Parameters
    ----------
    values
        `(n, k)`: n subjects; NaN is left out.

    Returns
    -------
    list of Estimate
        The bounds are NaN with fewer than two subjects, and if a value is infinite.
    """
    n = (~np.isnan(values)).sum(axis=0)
    means, low, high = (np.full(values.shape[1], math.nan) for _ in range(3))
    for count in np.unique(n[n > 0]):
        group = np.flatnonzero(n == count)
        # NaN is sorted to the end; the other subjects keep their order.
        order = np.argsort(np.isnan(values[:, group]), axis=0, kind="stable")[:count]
        for start in range(0, len(group), _CHUNK):
            part = slice(start, start + _CHUNK)
            columns = np.take_along_axis(values[:, group[part]], order[:, part], axis=0)
            with np.errstate(invalid="ignore"):
                means[group[part]] = columns.mean(axis=0)
            finite = np.isfinite(columns).all(axis=0)
            target = group[part][finite]
            if count > 1 and len(target):
                low[target], high[target] = _bounds(columns[:, finite])
    return [
        Estimate(*row)
        for row in zip(means.tolist(), low.tolist(), high.tolist(), n.tolist(), strict=True)
    ]


def _bounds(columns: Array) -> tuple[Array, Array]:
    """Return the bounds of the means of `(n, k)` finite values, n at least 2."""
    n = len(columns)
    mean, deviation = columns.mean(axis=0), columns.std(axis=0, ddof=1)
    student = float(stdtrit(n - 1, (1 + COVERAGE) / 2))
    error = deviation / math.sqrt(n)
    if n < FEWEST_RESAMPLED:
        return mean - student * error, mean + student * error
    scaled = (columns - mean) / np.where(deviation > 0, deviation, 1.0)
    shares = resampling_counts(n, _RESAMPLES) / n
    centres = shares @ scaled
    variances = shares @ np.square(scaled) - np.square(centres)
    # A constant resample has no finite statistic, and takes the extreme of its side.
    statistics = centres * math.sqrt(n - 1) / np.sqrt(np.maximum(variances, _CONSTANT))
    tail = round((1 - COVERAGE) / 2 * (_RESAMPLES + 1))
    statistics.partition((tail - 1, _RESAMPLES - tail), axis=0)
    limit = _WIDEST * student
    lower = np.clip(statistics[_RESAMPLES - tail], 0.0, limit)
    upper = np.clip(statistics[tail - 1], -limit, 0.0)
    return mean - lower * error, mean - upper * error


def bootstrap_statistic(
    subjects: Array, statistic: Callable[[Array], Array], seed: int = 0
) -> Estimate:
    """Estimate a statistic of all subjects together, such as a correlation.

    The interval is bias-corrected and accelerated (B. Efron, "Better Bootstrap Confidence
    Intervals", Journal of the American Statistical Association 1987).

    Parameters
    ----------
    subjects
        `(n, k)`, a row per subject.
    statistic
        Maps resamples `(R, m, k)` to their values `(R,)`, for m = n and m = n - 1; resamples with
        NaN do not count.
    seed
        Of the resamples.
    """
    n = len(subjects)
    if n == 0:
        return Estimate(math.nan, math.nan, math.nan, 0)
    value = float(statistic(subjects[None])[0])
    if n == 1:
        return Estimate(value, math.nan, math.nan, n)
    draws = bootstrap_draws(subjects, statistic, seed, RESAMPLES)
    draws = draws[~np.isnan(draws)]
    if not len(draws):
        return Estimate(value, math.nan, math.nan, n)
    others = np.array([np.delete(np.arange(n), i) for i in range(n)])
    shares = _accelerated_shares(value, draws, statistic(subjects[others]))
    return Estimate(value, *order_statistics(draws, *shares), n)


def _accelerated_shares(value: float, draws: Array, left_out: Array) -> tuple[float, float]:
    """Return the shares of the draws below the bounds; `left_out`: one subject left out each."""
    tails = (1 - COVERAGE) / 2, (1 + COVERAGE) / 2
    below = float((draws < value).mean() + (draws == value).mean() / 2)
    deviations = np.nanmean(left_out) - left_out if not np.isnan(left_out).all() else left_out
    deviations = deviations[~np.isnan(deviations)]
    squares = float(np.square(deviations).sum())
    if not 0 < below < 1 or not squares > 0:
        return tails
    bias = float(ndtri(below))
    acceleration = float(np.power(deviations, 3).sum()) / (6 * squares**1.5)

    def share(tail: float) -> float:
        shifted = bias + float(ndtri(tail))
        return float(ndtr(bias + shifted / (1 - acceleration * shifted)))

    return share(tails[0]), share(tails[1])


def estimates(scores: pd.DataFrame) -> dict[str, Estimate]:
    """Estimate every metric of a score table over subjects, by its name."""
    return estimates_of(by_subject(scores))


def estimates_of(subjects: pd.DataFrame) -> dict[str, Estimate]:
    """Estimate the mean of every column of a table by subject, by the column's name."""
    intervals = mean_intervals(subjects.to_numpy(dtype=np.float64))
    return dict(zip(map(str, subjects.columns), intervals, strict=True))
