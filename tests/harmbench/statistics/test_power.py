"""Numbers of subjects, against a published table and against simulated tests."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from harmbench.statistics.power import MOST_SUBJECTS, subjects_needed


def students(n):
    return float(scipy.stats.t.ppf(0.975, n - 1))


@pytest.mark.parametrize(("effect", "expected"), [(0.2, 199), (0.5, 34), (0.8, 15), (1.2, 8)])
def test_a_single_pair_needs_the_subjects_of_the_paired_t_test(effect, expected):
    # Cohen's conventional effects at 5 % two-sided and 80 % power, by G*Power 3.1.
    assert subjects_needed(1.0, effect, students(10), 10) == expected
    assert subjects_needed(4.0, 4 * effect, students(25), 25) == expected


def test_the_stated_power_is_reached():
    rng = np.random.default_rng(0)
    critical = 3.5
    n = int(subjects_needed(1.0, 0.8, critical, 12))
    level = 2 * scipy.stats.t.sf(critical, 11)
    for number, enough in ((n, True), (n - 1, False)):
        p = scipy.stats.ttest_1samp(rng.normal(0.8, 1, (20_000, number)), 0, axis=1).pvalue
        # The standard error of the share is 0.003; one subject more adds about 0.03.
        assert ((p < level).mean() > 0.8 - 0.009) == enough


def test_six_subjects_are_the_fewest():
    assert subjects_needed(0.001, 5.0, students(10), 10) == 6
    assert subjects_needed(0.0, 5.0, students(10), 10) == 6


def test_pairs_together():
    deviations = np.array([[math.nan, 0.5], [1.0, 1e6]])
    needed = subjects_needed(deviations, 0.5, 3.0, 9)
    assert needed[0, 0] == 0
    assert needed[1, 1] == MOST_SUBJECTS
    assert needed[0, 1] == subjects_needed(0.5, 0.5, 3.0, 9)
    assert subjects_needed(1.0, 0.5, math.nan, 8) == 0
