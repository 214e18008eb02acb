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
    midranks,
    paired,
    ranks,
    smallest_p,
    wilcoxon,
    wilcoxon_columns,
)
from harmbench.statistics.ranking import normalized, tiers

small = st.lists(st.integers(-6, 6).map(float), min_size=1, max_size=9)


@given(st.lists(st.integers(-9, 9).map(float), max_size=30))
def test_midranks_are_scipys(values):
    assert midranks(np.array(values)).tolist() == scipy.stats.rankdata(values).tolist()


@given(small)
def test_the_exact_test_counts_all_sign_patterns_ties_or_not(differences):
    nonzero = np.array([each for each in differences if each])
    if not len(nonzero):
        assert wilcoxon(differences) == (1.0, False)
        return
    sizes = scipy.stats.rankdata(np.abs(nonzero))
    found = sizes[nonzero > 0].sum()
    sums = [
        sum(rank for rank, up in zip(sizes, signs, strict=True) if up)
        for signs in itertools.product([False, True], repeat=len(sizes))
    ]
    tail = min(sum(each <= found for each in sums), sum(each >= found for each in sums))
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
    for found, column in zip(wilcoxon_columns(table), table.T, strict=True):
        p, positive = wilcoxon(column)
        assert found == (pytest.approx(p, nan_ok=True), positive)


def test_five_subjects_can_never_tell_two_methods_apart():
    assert wilcoxon([9.0, 8.0, 7.0, 6.0, 5.0])[0] == smallest_p(5, 1) == 0.0625
    assert wilcoxon([9.0, 8.0, 7.0, 6.0, 5.0, 4.0])[0] == smallest_p(6, 1) == 0.03125


def test_holm_as_worked_by_hand():
    # Ordered 0.005, 0.01, 0.03, 0.04: times 4, 3, 2, 1, and never falling.
    found = holm([0.01, 0.04, math.nan, 0.03, 0.005])
    assert found[[0, 1, 3, 4]] == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert math.isnan(found[2])
    assert holm([0.9, 0.8]).tolist() == [1.0, 1.0]


def test_differences_are_taken_on_seeds_in_common_and_equal_infinities_are_equal():
    one = np.array([[1.0, math.inf, 5.0, 2.0], [3.0, math.inf, math.nan, math.nan]])
    other = np.array([[0.0, math.inf, 1.0, math.nan], [math.nan, 7.0, 1.0, 9.0]])
    assert paired(one, other).tolist()[:3] == [1.0, math.inf, 4.0]
    assert math.isnan(paired(one, other)[3])
    assert paired(np.array([[0.1 + 0.2]]), np.array([[0.3]])).tolist() == [0.0]


def subjects(*columns):
    return np.array(columns, dtype=float).T[None]


def test_tiers_share_who_cannot_be_told_from_the_best_of_each():
    base = np.arange(8.0)
    noise = np.array([1, -1, 2, -2, 3, -3, 4, -4.5]) / 10
    table = subjects(base - 5, base + noise, base, base - 5 + noise)
    (fourth, close, best, third) = tiers(table, higher_is_better=True)
    assert (best[0], close[0], third[0], fourth[0]) == (1, 1, 2, 2)
    assert math.isnan(best[1])
    assert close[1] == pytest.approx(scipy.stats.wilcoxon(noise).pvalue)
    lower = tiers(-table, higher_is_better=False)
    assert [tier for tier, _ in lower] == [tier for tier, _ in (fourth, close, best, third)]


def test_a_tier_is_corrected_over_all_that_are_tested_in_it():
    # Seven subjects: p = 1/64 for a constant difference; of four at once it is 4/64 > 0.05.
    base = np.arange(7.0)
    two = tiers(subjects(base, base - 1), higher_is_better=True)
    five = tiers(subjects(base, *(base - step for step in (1, 2, 3, 4))), higher_is_better=True)
    assert [tier for tier, _ in two] == [1, 2]
    assert [tier for tier, _ in five] == [1] * 5
    assert five[1][1] == pytest.approx(4 / 64)


def test_who_is_ahead_of_the_best_in_ranks_is_in_its_tier():
    # One subject makes the mean of the first, all others are better with the second.
    base = np.zeros(12)
    first, second = base.copy(), base + np.linspace(1, 2, 12)
    first[0] = 100.0
    found = tiers(subjects(first, second), higher_is_better=True)
    assert found[1][1] < 0.05
    assert [tier for tier, _ in found] == [1, 1]


def test_without_methods_there_are_no_tiers():
    assert tiers(np.empty((1, 3, 0)), higher_is_better=True) == []


@given(st.lists(st.one_of(st.integers(0, 5).map(float), st.just(math.nan)), min_size=1, max_size=7))
def test_ranks_share_and_who_has_none_is_last(values):
    found = ranks(np.array([values, values[::-1]]), higher_is_better=True)
    known = [each for each in values if not math.isnan(each)]
    expected = dict(zip(known, scipy.stats.rankdata([-each for each in known]), strict=True))
    wanted = [len(values) if math.isnan(each) else expected[each] for each in values]
    assert found[0].tolist() == wanted
    assert found[1].tolist() == wanted[::-1]
    assert ranks(-np.array(values), higher_is_better=False).tolist() == wanted


def test_the_scale_between_floor_and_ceiling():
    values, floor, ceiling = np.array([0.05, 0.1, 0.2, 0.0]), np.array(0.1), np.array(0.0)
    found = normalized(values, floor, ceiling, decibels=False)
    assert found.tolist() == pytest.approx([0.5, 0.0, -1.0, 1.0])
    infinite = normalized(np.array([20.0]), np.array(10.0), np.array(math.inf), decibels=False)
    assert math.isnan(infinite[0])
    in_decibels = normalized(
        np.array([20.0, math.inf]), np.array(10.0), np.array(math.inf), decibels=True
    )
    assert in_decibels.tolist() == pytest.approx([0.9, 1.0])
    assert math.isnan(normalized(np.array([1.0]), floor, floor, decibels=False)[0])
