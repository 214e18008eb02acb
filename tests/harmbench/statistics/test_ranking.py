"""Ranks, tiers and normalised scores, against their definitions and cases done by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from harmbench.statistics.ranking import normalized, ranks, tiers


def subjects(*columns):
    return np.array(columns, dtype=float).T[None]


def test_methods_that_do_not_differ_from_the_best_share_its_tier():
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
    result = tiers(subjects(first, second), higher_is_better=True)
    assert result[1][1] < 0.05
    assert [tier for tier, _ in result] == [1, 1]


def test_there_are_no_tiers_without_methods():
    assert tiers(np.empty((1, 3, 0)), higher_is_better=True) == []


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, 3.0, math.inf, math.nan]), min_size=1, max_size=7))
def test_ties_share_a_rank_and_a_missing_value_ranks_last(values):
    result = ranks(np.array([values, values[::-1]]), higher_is_better=True)
    expected = [
        len(values)
        if math.isnan(value)
        else 1 + sum(other > value for other in values) + (values.count(value) - 1) / 2
        for value in values
    ]
    assert result[0].tolist() == expected
    assert result[1].tolist() == expected[::-1]
    assert ranks(-np.array(values), higher_is_better=False).tolist() == expected


def test_the_scale_between_floor_and_ceiling():
    values, floor, ceiling = np.array([0.05, 0.1, 0.2, 0.0]), np.array(0.1), np.array(0.0)
    result = normalized(values, floor, ceiling, decibels=False)
    assert result.tolist() == pytest.approx([0.5, 0.0, -1.0, 1.0])
    infinite = normalized(np.array([20.0]), np.array(10.0), np.array(math.inf), decibels=False)
    assert math.isnan(infinite[0])
    in_decibels = normalized(
        np.array([20.0, math.inf]), np.array(10.0), np.array(math.inf), decibels=True
    )
    assert in_decibels.tolist() == pytest.approx([0.9, 1.0])
    assert math.isnan(normalized(np.array([1.0]), floor, floor, decibels=False)[0])
