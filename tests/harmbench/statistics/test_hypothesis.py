"""The statistics, against scipy, against all sign patterns, and against cases done by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from harmbench.statistics.hypothesis import (
    holm,
    paired_differences,
    smallest_p,
    wilcoxon,
    wilcoxon_columns,
)

small = st.lists(st.integers(-6, 6).map(float), min_size=1, max_size=9)


@given(small)
def test_the_exact_test_counts_all_sign_patterns_ties_or_not(differences):
    nonzero = np.array([each for each in differences if each])
    if not len(nonzero):
        assert wilcoxon(differences) == (1.0, False)
        return
    sizes = scipy.stats.rankdata(np.abs(nonzero))
    result = sizes[nonzero > 0].sum()
    sums = [
        sum(rank for rank, up in zip(sizes, signs, strict=True) if up)
        for signs in itertools.product([False, True], repeat=len(sizes))
    ]
    tail = min(sum(each <= result for each in sums), sum(each >= result for each in sums))
    assert wilcoxon(differences)[0] == pytest.approx(min(1.0, 2 * tail / len(sums)))


@pytest.mark.parametrize("n", [6, 20, 50])
def test_without_ties_it_is_scipys_exact_test(n):
    differences = np.random.default_rng(n).normal(0.3, 1, n)
    p, positive = wilcoxon(differences)
    assert p == pytest.approx(scipy.stats.wilcoxon(differences, method="exact").pvalue)
    assert positive == (scipy.stats.wilcoxon(differences, alternative="greater").pvalue < 0.5)


@pytest.mark.parametrize("ties", [False, True])
def test_with_many_subjects_it_is_scipys_normal_approximation(ties):
    differences = np.random.default_rng(0).normal(0.2, 1, 120)
    if ties:
        differences = differences.round(1)
    expected = scipy.stats.wilcoxon(differences, method="asymptotic", correction=True).pvalue
    assert wilcoxon(differences)[0] == pytest.approx(expected)


@given(st.integers(1, 7), st.integers(1, 4), st.randoms(use_true_random=False))
def test_columns_are_tested_as_one_by_one(n, k, random):
    choices = [-1.5, -1.0, 0.0, 0.5, 1.0, 2.0, 3.25, math.nan]
    table = np.array([[random.choice(choices) for _ in range(k)] for _ in range(n)])
    for result, column in zip(wilcoxon_columns(table), table.T, strict=True):
        p, positive = wilcoxon(column)
        assert result == (pytest.approx(p, nan_ok=True), positive)


def test_five_subjects_can_never_tell_two_methods_apart():
    assert wilcoxon([9.0, 8.0, 7.0, 6.0, 5.0])[0] == smallest_p(5, 1) == 0.0625
    assert wilcoxon([9.0, 8.0, 7.0, 6.0, 5.0, 4.0])[0] == smallest_p(6, 1) == 0.03125


def test_holm_as_worked_by_hand():
    # Ordered 0.005, 0.01, 0.03, 0.04: times 4, 3, 2, 1, and never falling.
    result = holm([0.01, 0.04, math.nan, 0.03, 0.005])
    assert result[[0, 1, 3, 4]] == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert math.isnan(result[2])
    assert holm([0.9, 0.8]).tolist() == [1.0, 1.0]


def test_differences_use_common_seeds_and_equal_infinities_are_equal():
    one = np.array([[1.0, math.inf, 5.0, 2.0], [3.0, math.inf, math.nan, math.nan]])
    other = np.array([[0.0, math.inf, 1.0, math.nan], [math.nan, 7.0, 1.0, 9.0]])
    assert paired_differences(one, other).tolist()[:3] == [1.0, math.inf, 4.0]
    assert math.isnan(paired_differences(one, other)[3])
    assert paired_differences(np.array([[0.1 + 0.2]]), np.array([[0.3]])).tolist() == [0.0]
