"""From score tables to numbers with their uncertainty: people are the unit.

Slices of one scan, and scans of one person, are no independent observations; only
people are. So a person's values are averaged first, and people are what is resampled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from harmbench.seeds import numpy_generator

RESAMPLES = 10_000
COVERAGE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean over people, and its confidence interval.

    Attributes
    ----------
    mean
        Mean over people; NaN if there are none.
    low, high
        Bounds of the 95 % interval; NaN with fewer than two people.
    n
        Number of people.
    """

    mean: float
    low: float
    high: float
    n: int


def by_person(scores: pd.DataFrame) -> pd.DataFrame:
    """Average a score table over the slices and scans of every person.

    Parameters
    ----------
    scores
        Columns person, scan, slice, metric and value; NaN values do not count.

    Returns
    -------
    pandas.DataFrame
        One row a person and one column a metric, both in order of name; NaN where a
        person has no value. Infinite values stay so.
    """
    with np.errstate(invalid="ignore"):
        means = scores.groupby(["person", "metric"])["value"].mean()
    return means.unstack("metric").sort_index(axis=0).sort_index(axis=1)


def bootstrap(values: npt.ArrayLike, seed: int = 0) -> Estimate:
    """Estimate the mean over people with a percentile bootstrap interval.

    The mean of n people drawn with replacement, 10,000 times; the bounds are the 2.5th
    and 97.5th percentile of those means, each one that was drawn and not a value between
    two, so that an infinite mean (PSNR of equal images) has bounds too.

    Parameters
    ----------
    values
        `(n,)`, one a person; NaN is left out.
    seed
        Equal seeds draw equal people, so that methods are compared on the same resamples.

    Examples
    --------
    >>> bootstrap([20.0, 22.0, float("nan")])
    Estimate(mean=21.0, low=20.0, high=22.0, n=2)
    """
    people = np.asarray(values, dtype=np.float64)
    people = people[~np.isnan(people)]
    n = len(people)
    if n == 0:
        return Estimate(math.nan, math.nan, math.nan, 0)
    # Opposite infinities have no mean, and NumPy warns when it finds none.
    with np.errstate(invalid="ignore"):
        mean = float(people.mean())
        if n == 1 or math.isnan(mean):
            return Estimate(mean, math.nan, math.nan, n)
        drawn = numpy_generator(seed, "bootstrap", n).integers(n, size=(RESAMPLES, n))
        means = people[drawn].mean(axis=1)
    tail = (1 - COVERAGE) / 2
    low, high = np.quantile(means, [tail, 1 - tail], method="inverted_cdf")
    return Estimate(mean, float(low), float(high), n)


def estimates(scores: pd.DataFrame, seed: int = 0) -> dict[str, Estimate]:
    """Estimate every metric of a score table over people, by its name."""
    people = by_person(scores)
    return {str(metric): bootstrap(people[metric].to_numpy(), seed) for metric in people}
