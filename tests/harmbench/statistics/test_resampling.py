"""Resamples of subjects, and paired comparisons of statistics of the whole cohort."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harmbench.statistics.resampling import (
    bootstrap_draws,
    paired_difference,
    percentile_interval,
    resampled_means,
)


def correlation(subjects):
    x, y = (subjects[..., i] - subjects[..., i].mean(axis=-1, keepdims=True) for i in (0, 1))
    return (x * y).sum(axis=-1) / np.sqrt((x**2).sum(axis=-1) * (y**2).sum(axis=-1))


def test_percentiles_are_order_statistics():
    draws = np.random.default_rng(0).permutation(np.arange(1.0, 10_001))
    assert percentile_interval(draws) == (250.0, 9750.0)
    assert percentile_interval(np.array([math.inf] * 99 + [1.0])) == (math.inf, math.inf)


def test_resampled_means_have_the_spread_of_the_mean():
    values = np.random.default_rng(1).normal(3, 2, (50, 2))
    means = resampled_means(values, 10_000)
    assert means.mean(axis=0) == pytest.approx(values.mean(axis=0), abs=0.02)
    assert means.std(axis=0) == pytest.approx(values.std(axis=0) / math.sqrt(50), rel=0.03)
    values[0, 1] = math.inf
    infinite = resampled_means(values, 10_000)
    assert np.isinf(infinite[:, 1]).mean() == pytest.approx(1 - (49 / 50) ** 50, abs=0.02)
    assert (infinite[:, 0] == means[:, 0]).all()


def test_two_methods_are_compared_on_the_same_resamples():
    rng = np.random.default_rng(2)
    truth = rng.normal(size=40)
    good = truth + rng.normal(0, 0.5, 40)
    better = truth + 0.8 * (good - truth)
    first, second = (
        bootstrap_draws(np.stack([truth, own], axis=-1), correlation) for own in (better, good)
    )
    low, high, p = paired_difference(first, second)
    assert 0 < low < high < 0.1
    assert p < 0.005
    # Unpaired, the scatter between resamples hides the difference.
    shuffled = paired_difference(first, second[::-1])
    assert shuffled[0] < 0 < shuffled[1]
    assert shuffled[2] > 0.1


def test_equal_methods_and_undefined_resamples():
    draws = np.array([0.1, 0.2, math.nan])
    assert paired_difference(draws, draws) == (0.0, 0.0, 1.0)
    assert all(math.isnan(each) for each in paired_difference(draws, np.full(3, math.nan)))


def test_equivalent_statistics_are_rejected_in_five_per_cent():
    rng = np.random.default_rng(3)
    rejected = []
    for _ in range(100):
        truth = rng.normal(size=(30, 1))
        first, second = (
            bootstrap_draws(np.hstack([truth, truth + rng.normal(size=(30, 1))]), correlation)
            for _ in range(2)
        )
        rejected.append(paired_difference(first, second)[2] < 0.05)
    # Of 100 tests at a level of 7 %, more than 15 are rejected with a probability of 0.2 %.
    assert np.mean(rejected) <= 0.15
