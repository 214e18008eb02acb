"""Paired differences, and the correction of single tests for multiple comparisons."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from harmbench.statistics.estimate import Array

_DIGITS = 8  # values are recorded with nine


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


def mean_of_means(groups: Iterable[Sequence[Array]]) -> Array:
    """Average arrays of one shape within each group, and then over groups; NaN is ignored."""
    return nan_mean(np.stack([nan_mean(np.stack(group)) for group in groups]))


def nan_mean(values: Array) -> Array:
    """Average over the first axis, ignoring NaN; NaN where all values are NaN."""
    defined = ~np.isnan(values)
    count = defined.sum(axis=0)
    with np.errstate(invalid="ignore"):
        total = np.where(defined, values, 0.0).sum(axis=0)
        return np.where(count > 0, total / np.maximum(count, 1), math.nan)
