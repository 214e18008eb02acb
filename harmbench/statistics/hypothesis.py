"""Paired signed-rank tests over subjects, corrected for multiple comparisons."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from harmbench.statistics.estimate import Array

LEVEL = 0.05

# Above, the normal approximation is as good as exact.
_MOST_EXACT = 50

_DIGITS = 8  # of nine that values are recorded with


def midranks(values: Array) -> Array:
    """Rank values from 1, equal ones by the mean of their ranks.

    Examples
    --------
    >>> midranks(np.array([0.3, 0.1, 0.3, 0.2]))
    array([3.5, 1. , 3.5, 2. ])
    """
    order = values.argsort()
    ordered = values[order]
    ranks = np.empty(len(values))
    if (ordered[1:] != ordered[:-1]).all():
        ranks[order] = np.arange(1, len(values) + 1)
        return ranks
    first = ordered.searchsorted(values, side="left")
    last = ordered.searchsorted(values, side="right")
    return (first + 1 + last) / 2


@lru_cache(maxsize=256)
def _chances(doubled: tuple[int, ...]) -> Array:
    """Return the chances that twice a rank sum comes to 0, 1, ... when every sign is a coin."""
    chances = np.zeros(sum(doubled) + 1)
    chances[0] = 1.0
    for rank in doubled:
        shifted = np.zeros_like(chances)
        shifted[rank:] = chances[: len(chances) - rank]
        chances = (chances + shifted) / 2
    return chances


def wilcoxon(differences: npt.ArrayLike) -> tuple[float, bool]:
    """Test paired differences for symmetry around 0: the two-sided signed-rank test.

    Differences of 0 are left out. With up to 50 others the chances are exact, with equal
    differences too, given their midranks; with more, the normal approximation is taken,
    corrected for ties and continuity (F. Wilcoxon, "Individual Comparisons by Ranking
    Methods", Biometrics Bulletin 1945).

    Parameters
    ----------
    differences
        `(n,)`, one a subject; NaN is left out.

    Returns
    -------
    tuple
        The p-value, NaN without any difference to test and 1 if all are 0; and whether the
        ranks of the positive differences outweigh the others.

    Examples
    --------
    Five subjects are never enough for the 5 % level:

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
    ranks = midranks(np.abs(signed))
    positive, half = float(ranks[signed > 0].sum()), n * (n + 1) / 4
    if n <= _MOST_EXACT:
        chances = _chances(tuple(np.sort(2 * ranks).astype(int).tolist()))
        place = round(2 * positive)
        p = min(1.0, 2 * float(min(chances[: place + 1].sum(), chances[place:].sum())))
    else:
        deviation = math.sqrt(float(np.square(ranks).sum())) / 2
        p = math.erfc(max(0.0, abs(positive - half) - 0.5) / deviation / math.sqrt(2))
    return p, positive > half


def wilcoxon_columns(differences: Array) -> list[tuple[float, bool]]:
    """Test the paired differences in every column, as `wilcoxon` does those of one.

    Parameters
    ----------
    differences
        `(n, k)`.
    """
    n = len(differences)
    sizes = np.sort(np.abs(differences), axis=0)
    # NaN is unequal to everything, and sorted to the end.
    plain = (sizes[1:] != sizes[:-1]).all(axis=0) & (sizes[:1] > 0).all(axis=0)
    plain &= ~np.isnan(differences).any(axis=0)
    if not n or n > _MOST_EXACT:
        plain[:] = False
    found = np.abs(differences).argsort(axis=0).argsort(axis=0) + 1
    positive = np.where(differences > 0, found, 0).sum(axis=0)
    chances = _chances(tuple(range(1, n + 1))) if plain.any() else np.ones(1)
    below, above = chances.cumsum(), chances[::-1].cumsum()[::-1]
    return [
        (min(1.0, 2 * float(min(below[w], above[w]))), bool(w > n * (n + 1) / 4))
        if plain[column]
        else wilcoxon(differences[:, column])
        for column, w in enumerate(positive)
    ]


def smallest_p(n: int, tests: int) -> float:
    """Return the smallest p-value that Holm's method can leave one of `tests` with n subjects.

    Examples
    --------
    >>> smallest_p(5, 1), smallest_p(9, 8)
    (0.0625, 0.03125)
    """
    return float(min(1.0, tests * 2.0 ** (1 - n)))


def holm(values: npt.ArrayLike) -> Array:
    """Adjust p-values of one family by Holm's step-down method.

    The chance of one false rejection among all stays under the level that adjusted values
    are compared with (S. Holm, "A Simple Sequentially Rejective Multiple Test Procedure",
    Scandinavian Journal of Statistics 1979).

    Parameters
    ----------
    values
        `(m,)`; NaN is no test, and stays.

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


def paired(one: Array, other: Array) -> Array:
    """Return one minus the other, subject by subject, averaged over the seeds that both have.

    Equal infinite values differ by 0, and differences are rounded to eight digits of the
    largest value, so that ranks do not depend on how numbers were written down.

    Parameters
    ----------
    one, other
        `(S, n, ...)`: a value for every seed and subject, NaN where there is none.

    Returns
    -------
    Array
        `(n, ...)`, NaN for a subject without a seed in common.
    """
    with np.errstate(invalid="ignore"):
        differences = mean_over(np.where(one == other, 0.0, one - other))
    sizes = np.abs(np.concatenate([one.ravel(), other.ravel()]))
    largest = float(sizes[np.isfinite(sizes)].max(initial=0.0))
    return differences.round(_DIGITS - math.ceil(math.log10(largest))) if largest else differences


def mean_over(values: Array) -> Array:
    """Average over the first axis, leaving NaN out; NaN where nothing is left."""
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    with np.errstate(invalid="ignore"):
        total = np.where(known, values, 0.0).sum(axis=0)
        return np.where(count > 0, total / np.maximum(count, 1), math.nan)


def ranks(values: Array, *, higher_is_better: bool) -> Array:
    """Rank methods from 1, the best; equal ones share the mean, and who has none is last.

    Parameters
    ----------
    values
        `(..., k)`: one value a method; NaN where there is none.
    higher_is_better
        Which end is the best.

    Returns
    -------
    Array
        `(..., k)`; k, the worst there is, for every method without a value.
    """
    signed = -values if higher_is_better else values
    ordered = np.sort(signed, axis=-1)
    found = signed.argsort(axis=-1).argsort(axis=-1) + 1.0
    # NaN is sorted to the end and equal to nothing, so it needs no rank of its own here.
    tied = (ordered[..., 1:] == ordered[..., :-1]).any(axis=-1)
    equal = signed[tied]
    better = (equal[..., None, :] < equal[..., :, None]).sum(axis=-1)
    same = (equal[..., None, :] == equal[..., :, None]).sum(axis=-1)
    found[tied] = 1 + better + (same - 1) / 2
    return np.where(np.isnan(values), values.shape[-1], found)
