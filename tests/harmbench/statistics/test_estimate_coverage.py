"""Coverage of the 95 % interval of a mean, by simulation; docs/statistics.md has the table."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harmbench.statistics.estimate import bootstrap_statistic, mean_intervals


def coverage(values, true):
    """The share of the columns whose interval contains the true mean."""
    return np.mean([each.low <= true <= each.high for each in mean_intervals(values)])


@pytest.mark.parametrize(
    "n", [3, 6, 20, *(pytest.param(n, marks=pytest.mark.slow) for n in (5, 8, 10))]
)
def test_normal_values_have_nominal_coverage(n):
    values = np.random.default_rng(n).normal(size=(n, 5_000))
    # The standard error is 0.31 %.
    assert 0.94 <= coverage(values, 0.0) <= 0.96


@pytest.mark.parametrize(
    ("n", "least"), [(6, 0.88), pytest.param(10, 0.90, marks=pytest.mark.slow), (20, 0.91)]
)
def test_skewed_values_have_less_coverage(n, least):
    values = np.random.default_rng(n).lognormal(size=(n, 4_000))
    # The standard error is 0.5 %. Student's interval covers 0.83, 0.84 and 0.87.
    assert coverage(values, math.exp(0.5)) >= least


def test_a_statistic_of_the_cohort_has_about_nominal_coverage():
    def spread(subjects):
        return subjects[..., 0].std(axis=-1, ddof=1)

    rng = np.random.default_rng(0)
    covered = []
    for _ in range(200):
        result = bootstrap_statistic(rng.normal(size=(40, 1)), spread)
        covered.append(result.low <= 1.0 <= result.high)
    # The standard error is 2 %; of 600 intervals, 91 % covered the truth, and 89 % of
    # percentile intervals.
    assert np.mean(covered) > 0.87
