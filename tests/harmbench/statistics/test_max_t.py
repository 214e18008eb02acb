"""Max-T tests of all pairs, against enumeration and single tests."""

from __future__ import annotations

import itertools
import math
import time

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from harmbench.statistics.max_t import max_t, sign_flip, sign_vectors


def by_definition(values):
    """The step-down adjusted p-values of two or more methods, with loops."""
    n, families, k = values.shape
    pairs = [(f, i, j) for f in range(families) for i, j in itertools.combinations(range(k), 2)]
    columns = np.array([values[:, f, i] - values[:, f, j] for f, i, j in pairs])
    observed = np.abs(scipy.stats.ttest_1samp(columns, 0, axis=1).statistic)
    null = [
        np.abs(scipy.stats.ttest_1samp(columns * np.array(signs), 0, axis=1).statistic)
        for signs in itertools.product([1, -1], repeat=n)
    ]
    result, largest = {}, 0.0
    for rank in np.argsort(-observed):
        remaining = observed <= observed[rank]
        share = np.mean([row[remaining].max() >= observed[rank] - 1e-9 for row in null])
        largest = max(largest, float(share))
        result[pairs[rank]] = largest
    return result


def test_adjusted_p_values_by_definition():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(7, 2, 4)) + np.array([0, 0.5, 1.0, 3.0])
    tests = max_t(values)
    for (family, i, j), expected in by_definition(values).items():
        assert tests.p[family, i, j] == pytest.approx(expected)
        assert tests.p[family, j, i] == tests.p[family, i, j]
        difference = values[:, family, i] - values[:, family, j]
        assert tests.difference[family, i, j] == pytest.approx(difference.mean())
        assert tests.difference[family, j, i] == -tests.difference[family, i, j]
        assert tests.standard_error[family, i, j] == pytest.approx(scipy.stats.sem(difference))
    assert np.isnan(np.diagonal(tests.p, axis1=1, axis2=2)).all()
    assert tests.smallest_p == 2.0**-6
    assert (tests.n == 7).all()
    assert tests.subjects == 7


@given(st.lists(st.integers(-6, 6).map(float), min_size=2, max_size=8))
def test_sign_flips_count_all_sign_patterns(differences):
    sums = [
        abs(sum(sign * each for sign, each in zip(signs, differences, strict=True)))
        for signs in itertools.product([1, -1], repeat=len(differences))
    ]
    expected = np.mean([each >= abs(sum(differences)) for each in sums])
    assert sign_flip(differences) == pytest.approx(expected)


def test_random_sign_flips_approximate_the_exact_test():
    differences = np.random.default_rng(3).normal(0.55, 1, 15)
    exact = scipy.stats.permutation_test(
        (differences, np.zeros(15)),
        lambda x, y: np.mean(x - y),
        permutation_type="samples",
        n_resamples=np.inf,
    ).pvalue
    assert sign_flip(differences) == pytest.approx(exact, abs=4 * math.sqrt(exact / 10_000))
    assert sign_flip(differences) == sign_flip(differences)
    assert sign_flip(differences, seed=1) != sign_flip(differences)


@pytest.mark.parametrize("n", [1, 2, 14])
def test_sign_vectors_are_all_distinct_ones(n):
    signs = sign_vectors(n)
    assert (signs[0] == 1).all()
    assert (signs[:, 0] == 1).all()
    assert len(np.unique(signs, axis=0)) == len(signs) == 2 ** (n - 1)


def test_sign_flips_need_two_subjects():
    assert math.isnan(sign_flip([1.0, math.nan]))
    assert sign_flip([1.0, 1.0]) == 0.5


def test_equal_methods_and_constant_differences():
    base = np.arange(8.0)
    tests = max_t(np.stack([base, base, base + 0.1], axis=-1)[:, None])
    assert tests.p[0, 0, 1] == 1.0
    assert tests.p[0, 0, 2] == tests.p[0, 1, 2] == tests.smallest_p == 2.0**-7
    assert tests.standard_error[0, 0, 1] == 0.0
    rounding = np.stack([base, base * (1 + 1e-15)], axis=-1)[:, None]
    assert max_t(rounding).p[0, 0, 1] == 1.0


def test_missing_values_leave_their_pairs_only():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(10, 1, 3)) + np.array([0.0, 3.0, 6.0])
    complete = max_t(values[:, :, :2])
    values[2:, 0, 2] = math.nan
    tests = max_t(values)
    assert tests.n[0].tolist() == [[10, 10, 2], [10, 10, 2], [2, 2, 2]]
    # Two subjects cannot differ significantly, and cost the other pair nothing.
    assert tests.p[0, 0, 1] == complete.p[0, 0, 1]
    assert tests.critical == complete.critical
    assert tests.p[0, 0, 2] >= 0.5
    values[1:, 0, 2] = math.nan
    tests = max_t(values)
    assert math.isnan(tests.p[0, 0, 2])
    assert not math.isnan(tests.difference[0, 0, 2])
    assert math.isnan(tests.standard_error[0, 0, 2])


def test_a_family_with_few_subjects_costs_the_others_little_power():
    rng = np.random.default_rng(2)
    values = rng.normal(size=(20, 2, 4)) + np.array([0.0, 0.0, 0.0, 1.5])
    alone = max_t(values[:, :1])
    values[6:, 1] = math.nan
    tests = max_t(values)
    # Student's t of six subjects exceeds 5 more often than that of twenty exceeds 3.6.
    assert alone.critical < tests.critical < alone.critical + 0.5
    low, high = tests.interval
    width = (high - low)[:, 0, 1] / tests.standard_error[:, 0, 1] / 2
    assert width[0] == pytest.approx(tests.critical)
    expected = scipy.stats.t.isf(scipy.stats.t.sf(tests.critical, 19), 5)
    assert width[1] == pytest.approx(expected)


def test_few_subjects_have_the_interval_of_bonferroni():
    values = np.random.default_rng(0).normal(size=(4, 1, 3))
    tests = max_t(values)
    assert tests.critical == pytest.approx(scipy.stats.t.isf(0.025 / 3, 3))
    assert tests.smallest_p == 0.125
    # A method's own subjects are not common subjects.
    values[2:, :, 1:] = math.nan
    assert max_t(values).subjects == 2
    assert max_t(values).critical == pytest.approx(scipy.stats.t.isf(0.025 / 3, 1))


def test_one_pair_has_students_interval_if_differences_are_normal():
    values = scipy.stats.norm.ppf((np.arange(12) + 0.5) / 12)
    tests = max_t(np.stack([values, np.zeros(12)], axis=-1)[:, None])
    assert tests.critical == pytest.approx(scipy.stats.t.ppf(0.975, 11), rel=0.03)


def test_nothing_to_test():
    tests = max_t(np.ones((5, 2, 1)))
    assert math.isnan(tests.critical)
    assert math.isnan(tests.smallest_p)
    assert not tests.significant().any()
    assert max_t(np.empty((0, 1, 3))).n.max() == 0


def test_infinite_values_are_refused():
    with pytest.raises(ValueError, match="infinite"):
        max_t(np.full((6, 1, 2), math.inf))


def test_a_board_of_usual_size_takes_under_a_second():
    values = np.random.default_rng(0).normal(size=(40, 3, 15))
    start = time.process_time()
    tests = max_t(values)
    assert time.process_time() - start < 2
    assert tests.significant().shape == (3, 15, 15)
