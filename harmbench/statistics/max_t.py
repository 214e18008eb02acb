"""Tests of all pairs of methods in all families, by sign flips over subjects with max-T.

Under the null hypothesis, a subject's paired differences are symmetric around 0, so their signs
may be flipped. One random sign per subject, shared by all pairs and families, keeps their
dependence. The step-down maximum of the studentised differences controls the family-wise error
rate (P. H. Westfall and S. S. Young, "Resampling-Based Multiple Testing", Wiley 1993,
algorithm 4.1).

Families may have different numbers of subjects. Student's t with few degrees of freedom would
dominate the maximum, so every t is first converted to the scale of the normal distribution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

from harmbench.statistics.estimate import Array
from harmbench.util.seeds import numpy_generator

LEVEL = 0.05

# The smallest two-sided p-value of n subjects is 2^(1 - n): 0.0625 of five, 0.03125 of six.
FEWEST_SUBJECTS = 6

# Of 14 subjects there are 8,192 distinct sign vectors, fewer than are drawn of more subjects.
MOST_EXACT = 14
RESAMPLES = 10_000

# Differences below this share of the largest value are rounding errors.
_RELATIVE_ZERO = 1e-9
# Differences that scatter by less than 1e-4 of their mean count as constant, so that the
# statistic is finite. Its rounding error is then below the tolerance.
_SMALLEST_RESIDUAL = 1e-8
_TOLERANCE = 1e-6
_CHUNK = 1024


@dataclass(frozen=True, kw_only=True)
class PairTests:
    """Tests of F families and all pairs of k methods.

    Attributes
    ----------
    difference
        `(F, k, k)`: mean over the common subjects of method i minus method j; NaN without any.
    standard_error
        `(F, k, k)`: standard error of the difference; NaN with fewer than two common subjects.
    p
        `(F, k, k)`: two-sided p-value, adjusted over all pairs and families; symmetric. NaN
        on the diagonal and with fewer than two common subjects.
    n
        `(F, k, k)`: number of common subjects, integer; on the diagonal, of the method's own.
    subjects
        Largest number of common subjects of any pair; 0 without pairs.
    critical
        95 % quantile of the maximum of `|t|` over all pairs and families, single-step, for a
        pair with the most common subjects; NaN if nothing was tested.
    smallest_p
        Smallest p-value that any pair can reach: 2^(1 - n) of the largest n, or that of
        the number of random sign vectors; NaN if nothing was tested.
    """

    difference: Array
    standard_error: Array
    p: Array
    n: npt.NDArray[np.int64]
    subjects: int
    critical: float
    smallest_p: float

    def significant(self, level: float = LEVEL) -> npt.NDArray[np.bool_]:
        """Return which pairs differ at the family-wise level: `(F, k, k)`."""
        return self.p <= level

    @property
    def interval(self) -> tuple[Array, Array]:
        """Simultaneous 95 % confidence bounds of all differences, each `(F, k, k)`.

        For a pair with fewer subjects than others, the critical value is Student's at the same
        level.
        """
        level = stdtr(max(self.subjects - 1, 1), -self.critical)
        margin = -stdtrit(np.maximum(self.n - 1, 1), level) * self.standard_error
        return self.difference - margin, self.difference + margin


@lru_cache(maxsize=4)
def sign_vectors(n: int, seed: int = 0, resamples: int = RESAMPLES) -> npt.NDArray[np.int8]:
    """Return sign vectors of n subjects: `(R, n)` of +1 and -1, the first without a flip.

    All 2^(n - 1) vectors whose first sign is +1 with up to 14 subjects; a vector and its
    negative yield the same two-sided statistic. Else the identity and `resamples` random vectors.
    """
    if n <= MOST_EXACT:
        bits = (np.arange(2 ** max(n - 1, 0))[:, None] >> np.arange(max(n - 1, 0))) & 1
        flips = np.concatenate([np.zeros((len(bits), min(n, 1)), dtype=np.int64), bits], axis=1)
    else:
        flips = numpy_generator(seed, "sign flips", n).integers(2, size=(resamples + 1, n))
        flips[0] = 0
    return (1 - 2 * flips).astype(np.int8)


def sign_flip(differences: npt.ArrayLike, *, seed: int = 0) -> float:
    """Test whether the mean of paired differences is 0, by sign flips over subjects.

    Two-sided, exact with up to 14 subjects.

    Parameters
    ----------
    differences
        `(n,)`, one a subject; NaN is left out.
    seed
        Of the random signs.

    Returns
    -------
    float
        The p-value; NaN with fewer than two subjects.

    Examples
    --------
    With five subjects no p-value can fall below 5 %:

    >>> sign_flip([1.0, 2.0, 3.0, 4.0, 5.0])
    0.0625
    """
    values = np.asarray(differences, dtype=np.float64)
    values = values[~np.isnan(values)]
    if len(values) < 2:
        return math.nan
    return float(_step_down(values[:, None], sign_vectors(len(values), seed))[0])


def max_t(values: Array, *, seed: int = 0, resamples: int = RESAMPLES) -> PairTests:
    """Test all pairs of methods in all families together.

    Pairs with fewer than six common subjects can never differ significantly. They are
    adjusted among themselves, so that they cost the other pairs no power.

    Parameters
    ----------
    values
        `(n, F, k)`: a value of every subject, family and method; finite, or NaN if it is
        missing.
    seed
        Of the random signs, which are drawn with more than 14 subjects.
    resamples
        Number of random sign vectors. With fewer, the error rate is the same, but the power is
        lower and p-values are coarser.

    Raises
    ------
    ValueError
        If a value is infinite.
    """
    if np.isinf(values).any():
        raise ValueError("max_t needs finite values or NaN: replace infinite values first")
    n_subjects, families, k = values.shape
    first, second = np.triu_indices(k, 1)
    differences = values[:, :, first] - values[:, :, second]
    largest = np.nan_to_num(np.abs(values)).max(axis=(0, 2), initial=0.0, keepdims=True)
    differences[np.abs(differences) <= _RELATIVE_ZERO * largest] = 0.0
    columns = differences.reshape(n_subjects, families * len(first))
    counts = (~np.isnan(columns)).sum(axis=0)
    mean, error = _moments(columns, counts)
    p = np.full(columns.shape[1], math.nan)
    signs = sign_vectors(n_subjects, seed, resamples)
    many = counts >= FEWEST_SUBJECTS
    for group in (many, (counts >= 2) & ~many):
        if group.any():
            p[group] = _step_down(columns[:, group], signs)
    tested = many if many.any() else counts >= 2
    most = int(counts.max(initial=0))

    def square(upper: Array, diagonal: Array, sign: float) -> Array:
        full = np.empty((families, k, k))
        full[:, first, second] = upper.reshape(families, -1)
        full[:, second, first] = sign * upper.reshape(families, -1)
        full[:, np.arange(k), np.arange(k)] = diagonal
        return full

    own = (~np.isnan(values)).sum(axis=0)
    return PairTests(
        difference=square(mean, np.where(own > 0, 0.0, math.nan), -1.0),
        standard_error=square(error, np.where(own > 1, 0.0, math.nan), 1.0),
        p=square(p, np.full((families, k), math.nan), 1.0),
        n=square(counts, own, 1.0).astype(np.int64),
        subjects=most,
        critical=_critical(columns[:, tested], signs, most) if tested.any() else math.nan,
        smallest_p=max(2.0 ** (1 - most), 1 / len(signs)) if tested.any() else math.nan,
    )


def _moments(columns: Array, counts: npt.NDArray[np.int64]) -> tuple[Array, Array]:
    """Return the mean and its standard error of every column, without NaN."""
    filled = np.where(np.isnan(columns), 0.0, columns)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = filled.sum(axis=0) / counts
        squares = np.where(np.isnan(columns), 0.0, np.square(columns - mean)).sum(axis=0)
        error = np.where(counts > 1, np.sqrt(squares / (counts - 1) / counts), math.nan)
    return mean, error


def _statistics(columns: Array, signs: npt.NDArray[np.int8]) -> Array:
    """Return `|z|` of every sign vector and column: `(R, m)`; NaN in the columns is left out.

    z is t on the scale of the normal distribution: with v = n - 1,
    z = (8 v + 1) / (8 v + 3) sqrt(v log(1 + t^2 / v)) (D. L. Wallace, "Bounds on Normal
    Approximations to Student's and the Chi-Square Distributions", Annals of Mathematical
    Statistics 1959). As flipping signs leaves sum d^2 as it is, 1 + t^2 / v = 1 / (1 - r^2)
    with r = sum s d / sqrt(n sum d^2).
    """
    counts = (~np.isnan(columns)).sum(axis=0)
    filled = np.where(np.isnan(columns), 0.0, columns)
    # Scaled to 1 first, so that squares neither overflow nor underflow.
    sizes = np.abs(filled).max(axis=0)
    filled = filled / np.where(sizes > 0, sizes, 1.0)
    squares = np.square(filled).sum(axis=0) * counts
    shares = np.square(signs @ filled) / np.where(squares > 0, squares, 1.0)
    residuals = np.clip(1.0 - shares, _SMALLEST_RESIDUAL, 1.0)
    freedom = counts - 1
    scale = (8 * freedom + 1) / (8 * freedom + 3) * np.sqrt(freedom)
    statistics: Array = scale * np.sqrt(-np.log(residuals))
    return statistics


def _step_down(columns: Array, signs: npt.NDArray[np.int8]) -> Array:
    """Return the adjusted p-values of all columns: `(m,)`."""
    observed = _statistics(columns, signs[:1])[0]
    order = np.argsort(-observed, kind="stable")
    columns, ordered = columns[:, order], observed[order]
    exceeding = np.zeros(len(order))
    for start in range(0, len(signs), _CHUNK):
        null = _statistics(columns, signs[start : start + _CHUNK])
        # The maximum over a column and all with a smaller observed statistic.
        maxima = np.maximum.accumulate(null[:, ::-1], axis=1)[:, ::-1]
        exceeding += (maxima >= ordered * (1 - _TOLERANCE) - _TOLERANCE).sum(axis=0)
    p = np.empty(len(order))
    p[order] = np.maximum.accumulate(exceeding / len(signs))
    return p


def _critical(columns: Array, signs: npt.NDArray[np.int8], n: int) -> float:
    """Return the 95 % quantile of the maximum of `|t|` over all columns, for n subjects.

    The differences are centred first: else large differences, whose flipped sums are all alike,
    would hide the scatter of the others. Fewer than six subjects have too few sign vectors;
    the quantile is then Student's with Bonferroni's correction.
    """
    if n < FEWEST_SUBJECTS:
        return -float(stdtrit(n - 1, LEVEL / 2 / columns.shape[1]))
    centred = columns - np.nanmean(columns, axis=0)
    maxima = np.concatenate(
        [
            _statistics(centred, signs[start : start + _CHUNK]).max(axis=1)
            for start in range(0, len(signs), _CHUNK)
        ]
    )
    z, freedom = float(np.quantile(maxima, 1 - LEVEL, method="higher")), n - 1
    exponent = (z * (8 * freedom + 3) / (8 * freedom + 1)) ** 2 / freedom
    return math.sqrt(freedom * math.expm1(exponent))
