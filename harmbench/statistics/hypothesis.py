"""Paired signed-rank tests over subjects, corrected for multiple comparisons."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from harmbench.statistics.estimate import Array

LEVEL = 0.05

# With more subjects the normal approximation is accurate enough.
_MOST_EXACT = 50

_DIGITS = 8  # values are recorded with nine


@lru_cache(maxsize=256)
def _null_distribution(doubled_ranks: tuple[int, ...]) -> Array:
    """Return the null distribution of the doubled signed-rank sum: P(0), P(1), ..."""
    probabilities = np.zeros(sum(doubled_ranks) + 1)
    probabilities[0] = 1.0
    for rank in doubled_ranks:
        shifted = np.zeros_like(probabilities)
        shifted[rank:] = probabilities[: len(probabilities) - rank]
        probabilities = (probabilities + shifted) / 2
    return probabilities


def wilcoxon(differences: npt.ArrayLike) -> tuple[float, bool]:
    """Test paired differences for symmetry around 0: the two-sided signed-rank test.

    Differences of 0 are left out. With up to 50 others the null distribution is exact, also
    with ties, given their midranks; with more, the normal approximation is used, corrected
    for ties and continuity (F. Wilcoxon, "Individual Comparisons by Ranking
    Methods", Biometrics Bulletin 1945).

    Parameters
    ----------
    differences
        `(n,)`, one a subject; NaN is left out.

    Returns
    -------
    tuple
        The p-value, NaN without any difference and 1 if all are 0; and whether the rank sum
        of the positive differences exceeds that of the negative ones.

    Examples
    --------
    With five subjects no p-value can fall below 5 %:

    >>> wilcoxon([1.0, 2.0, 3.0, 4.0, 5.0])
    (0.0625, True)
    """
    signed = np.asarray(differences, dtype=np.float64)
    signed = signed[~np.isnan(signed)]
    if not len(signed):
        return math.nan, False
    signed = signed[signed != 0]
    n = len(signed)
    if n == 0:
        return 1.0, False
    ranks = rankdata(np.abs(signed))
    positive, half = float(ranks[signed > 0].sum()), n * (n + 1) / 4
    if n <= _MOST_EXACT:
        null = _null_distribution(tuple(np.sort(2 * ranks).astype(int).tolist()))
        statistic = round(2 * positive)
        p = min(1.0, 2 * float(min(null[: statistic + 1].sum(), null[statistic:].sum())))
    else:
        deviation = math.sqrt(float(np.square(ranks).sum())) / 2
        p = math.erfc(max(0.0, abs(positive - half) - 0.5) / deviation / math.sqrt(2))
    return p, positive > half


def wilcoxon_columns(differences: Array) -> list[tuple[float, bool]]:
    """Apply `wilcoxon` to every column.

    Parameters
    ----------
    differences
        `(n, k)`.
    """
    n = len(differences)
    sizes = np.sort(np.abs(differences), axis=0)
    # Columns without ties, zeros and NaN share one null distribution. NaN is unequal to
    # everything, and sorted to the end.
    plain = (sizes[1:] != sizes[:-1]).all(axis=0) & (sizes[:1] > 0).all(axis=0)
    plain &= ~np.isnan(differences).any(axis=0)
    if not n or n > _MOST_EXACT:
        plain[:] = False
    ranks = np.abs(differences).argsort(axis=0).argsort(axis=0) + 1
    positive = np.where(differences > 0, ranks, 0).sum(axis=0)
    null = _null_distribution(tuple(range(1, n + 1))) if plain.any() else np.ones(1)
    below, above = null.cumsum(), null[::-1].cumsum()[::-1]
    return [
        (min(1.0, 2 * float(min(below[w], above[w]))), bool(w > n * (n + 1) / 4))
        if plain[column]
        else wilcoxon(differences[:, column])
        for column, w in enumerate(positive)
    ]


def smallest_p(n: int, tests: int) -> float:
    """Return the smallest Holm-adjusted p-value that one of `tests` can reach with n subjects.

    Examples
    --------
    >>> smallest_p(5, 1), smallest_p(9, 8)
    (0.0625, 0.03125)
    """
    return float(min(1.0, tests * 2.0 ** (1 - n)))


def holm(values: npt.ArrayLike) -> Array:
    """Adjust p-values of one family by Holm's step-down method.

    Controls the family-wise error rate (S. Holm, "A Simple Sequentially Rejective Multiple
    Test Procedure", Scandinavian Journal of Statistics 1979).

    Parameters
    ----------
    values
        `(m,)`; NaN stands for no test, and stays NaN.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    array([0.03, 0.06, 0.06])
    """
    values = np.asarray(values, dtype=np.float64)
    adjusted = np.full(values.shape, math.nan)
    tested = np.flatnonzero(~np.isnan(values))
    order = tested[np.argsort(values[tested], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(factors * values[order]))
    return adjusted


def paired_differences(first: Array, second: Array) -> Array:
    """Return the differences of two samples per subject, averaged over their common seeds.

    Equal infinite values differ by 0, and differences are rounded to eight digits of the
    largest value, so that ranks do not depend on how numbers were stored.

    Parameters
    ----------
    first, second
        `(S, n, ...)`: a value for every seed and subject; NaN if it is missing.

    Returns
    -------
    Array
        `(n, ...)`, NaN for a subject without a seed in common.
    """
    with np.errstate(invalid="ignore"):
        differences = nan_mean(np.where(first == second, 0.0, first - second))
    sizes = np.abs(np.concatenate([first.ravel(), second.ravel()]))
    largest = float(sizes[np.isfinite(sizes)].max(initial=0.0))
    return differences.round(_DIGITS - math.ceil(math.log10(largest))) if largest else differences


def nan_mean(values: Array) -> Array:
    """Average over the first axis, ignoring NaN; NaN where all values are NaN."""
    defined = ~np.isnan(values)
    count = defined.sum(axis=0)
    with np.errstate(invalid="ignore"):
        total = np.where(defined, values, 0.0).sum(axis=0)
        return np.where(count > 0, total / np.maximum(count, 1), math.nan)
