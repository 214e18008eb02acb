"""How many subjects a test needs."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.special import nctdtr, stdtr, stdtrit

from harmbench.statistics.max_t import FEWEST_SUBJECTS

# More subjects than any study of repeated scans has.
MOST_SUBJECTS = 1_000_000


def subjects_needed(
    standard_deviation: npt.ArrayLike,
    difference: float,
    critical: float,
    n: int,
    power: float = 0.8,
) -> npt.NDArray[np.int64]:
    """Return the number of subjects with which a paired difference is detected.

    The difference counts as detected if `|t|` exceeds the critical value of the max-T test.
    That critical value belongs to n subjects; Student's distribution with n - 1 degrees of freedom
    converts it to the two-sided level of one pair, and back to the critical value of any
    other number of subjects. The power is that of the noncentral t distribution, with
    differences that are normally distributed.

    Parameters
    ----------
    standard_deviation
        Of the differences of one pair between subjects; any shape. NaN is allowed.
    difference
        The difference to be detected, above 0, in the unit of the standard deviation.
    critical
        `PairTests.critical`.
    n
        The number of subjects that the critical value belongs to, at least 2:
        `PairTests.subjects`.
    power
        The probability of detection, in (0, 1).

    Returns
    -------
    Array
        The smallest sufficient numbers, at least 6: with fewer, no p-value is below 0.05. 0 where
        the standard deviation or the critical value is NaN, 1,000,000 where more are needed.

    Examples
    --------
    One pair of methods, whose critical value with ten subjects is Student's 2.26:

    >>> int(subjects_needed(1.0, 0.5, 2.262157, 10))
    34
    """
    deviations = np.asarray(standard_deviation, dtype=np.float64)
    level = 2 * float(stdtr(max(n - 1, 1), -critical))
    with np.errstate(divide="ignore"):
        effects = difference / deviations
    low = np.full(deviations.shape, FEWEST_SUBJECTS)
    high = np.full(deviations.shape, MOST_SUBJECTS)
    while (low < high).any():
        middle = (low + high) // 2
        enough = _power(effects, middle, level) >= power
        high = np.where(enough, middle, high)
        low = np.where(enough, low, np.minimum(middle + 1, high))
    return np.where(np.isnan(effects) | math.isnan(level), 0, high)


def _power(
    effects: npt.NDArray[np.float64], n: npt.NDArray[np.int64], level: float
) -> npt.NDArray[np.float64]:
    """Return the probability that `|t|` exceeds the quantile of the level."""
    critical = -stdtrit(n - 1, level / 2)
    # Beyond 1e3 standard errors detection is certain, and the distribution function fails.
    noncentrality = np.minimum(effects * np.sqrt(n), 1e3)
    upper = 1 - nctdtr(n - 1, noncentrality, critical)
    lower = nctdtr(n - 1, noncentrality, -critical)
    detected: npt.NDArray[np.float64] = np.nan_to_num(upper) + np.nan_to_num(lower)
    return detected
