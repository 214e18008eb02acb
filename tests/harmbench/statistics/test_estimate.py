"""Subjects are what is averaged and resampled."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from harmbench.statistics.estimate import (
    Estimate,
    bootstrap_statistic,
    by_subject,
    estimates,
    mean_interval,
    mean_intervals,
)

ROWS = [
    ("p1", "a", 0, "psnr", 10.0),
    ("p1", "a", 1, "psnr", 20.0),
    ("p1", "b", 0, "psnr", 30.0),
    ("p1", "b", 1, "psnr", math.nan),
    ("p0", "a", 0, "psnr", 40.0),
    ("p0", "a", 1, "psnr", math.inf),
    ("p0", "a", -1, "wasserstein", 0.5),
    ("p1", "a", -1, "wasserstein", math.nan),
]
SCORES = pd.DataFrame(ROWS, columns=["subject", "scan", "slice", "metric", "value"])


def test_by_subject() -> None:
    subjects = by_subject(SCORES)
    assert subjects.index.tolist() == ["p0", "p1"]
    assert subjects.columns.tolist() == ["psnr", "wasserstein"]
    assert subjects.loc["p1", "psnr"] == 20
    assert subjects.loc["p0", "psnr"] == math.inf
    assert subjects.loc["p0", "wasserstein"] == 0.5
    assert math.isnan(subjects.loc["p1", "wasserstein"])


def test_subjects_weigh_the_same_however_often_they_were_scanned() -> None:
    rows = [("p0", str(i), 0, "mae", 1.0) for i in range(9)] + [("p1", "0", 0, "mae", 3.0)]
    scores = pd.DataFrame(rows, columns=SCORES.columns)
    assert estimates(scores)["mae"].mean == 2.0


def test_estimates_leave_out_who_has_no_value() -> None:
    result = estimates(SCORES)
    assert list(result) == ["psnr", "wasserstein"]
    assert result["psnr"].n == 2
    assert result["wasserstein"].n == 1
    assert result["wasserstein"].mean == 0.5


@pytest.mark.parametrize("n", [2, 3, 4])
def test_with_few_subjects_the_interval_is_students(n: int) -> None:
    values = np.random.default_rng(0).normal(25, 3, size=n)
    result = mean_interval(values)
    low, high = scipy.stats.t.interval(0.95, n - 1, values.mean(), scipy.stats.sem(values))
    assert (result.mean, result.n) == (pytest.approx(values.mean()), n)
    assert (result.low, result.high) == (pytest.approx(low), pytest.approx(high))


def test_with_many_subjects_the_interval_has_the_width_that_theory_says() -> None:
    values = np.random.default_rng(0).normal(25, 3, size=100)
    result = mean_interval(values)
    half = 1.98 * values.std(ddof=1) / 10
    assert result.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert result.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_the_interval_follows_the_skewness() -> None:
    values = np.random.default_rng(0).lognormal(size=30)
    result = mean_interval(values)
    assert result.high - result.mean > 1.2 * (result.mean - result.low)
    mirrored = mean_interval(-values)
    assert mirrored.low == pytest.approx(-result.high)
    assert mirrored.high == pytest.approx(-result.low)


def test_constant_resamples_do_not_make_the_interval_infinite() -> None:
    # A third of all resamples of six subjects lack the only subject that differs.
    result = mean_interval([0.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    student = scipy.stats.t.ppf(0.975, 5) / 6
    assert result.low == pytest.approx(result.mean - 3 * student)
    assert result.mean <= result.high <= result.mean + 3 * student
    assert mean_interval([2.0] * 6) == Estimate(2.0, 2.0, 2.0, 6)


def test_shift_and_scale_carry_over() -> None:
    values = np.random.default_rng(2).normal(size=15)
    plain, moved = mean_interval(values), mean_interval(10 + 2 * values)
    for name in ("mean", "low", "high"):
        assert getattr(moved, name) == pytest.approx(10 + 2 * getattr(plain, name))


@pytest.mark.parametrize("value", [21.5, math.inf])
def test_one_subject_has_no_interval(value: float) -> None:
    result = mean_interval([value, math.nan])
    assert (result.mean, result.n) == (value, 1)
    assert math.isnan(result.low)
    assert math.isnan(result.high)


def test_an_interval_without_values_is_nan() -> None:
    result = mean_interval([math.nan])
    assert result.n == 0
    assert math.isnan(result.mean)


@pytest.mark.parametrize(
    ("values", "mean"),
    [([math.inf] * 5, math.inf), ([20.0, math.inf], math.inf), ([math.inf, -math.inf], math.nan)],
)
def test_infinite_values_have_no_interval(values: list[float], mean: float) -> None:
    result = mean_interval(values)
    assert result.mean == pytest.approx(mean, nan_ok=True)
    assert math.isnan(result.low)
    assert math.isnan(result.high)
    assert result.n == len(values)


def test_columns_are_estimated_as_one_by_one() -> None:
    rng = np.random.default_rng(4)
    values = rng.normal(size=(9, 12))
    values[rng.random(values.shape) < 0.3] = math.nan
    values[:, 3] = math.nan
    values[0, 5] = math.inf
    for result, column in zip(mean_intervals(values), values.T, strict=True):
        single = mean_interval(column)
        assert result.n == single.n
        for name in ("mean", "low", "high"):
            assert getattr(result, name) == pytest.approx(getattr(single, name), nan_ok=True)


def test_a_statistic_of_all_subjects_has_the_interval_of_scipy() -> None:
    values = np.random.default_rng(0).lognormal(size=(25, 1))
    result = bootstrap_statistic(values, lambda subjects: subjects.mean(axis=(-2, -1)))
    expected = scipy.stats.bootstrap(
        (values[:, 0],), np.mean, n_resamples=50_000, method="BCa", rng=np.random.default_rng(1)
    ).confidence_interval
    width = expected.high - expected.low
    assert (result.mean, result.n) == (pytest.approx(values.mean()), 25)
    assert result.low == pytest.approx(expected.low, abs=0.03 * width)
    assert result.high == pytest.approx(expected.high, abs=0.03 * width)


def test_draws_without_the_statistic_do_not_count() -> None:
    def defined(subjects):
        mean = subjects.mean(axis=(-2, -1))
        return np.where(mean > 1, np.nan, mean)

    result = bootstrap_statistic(np.array([[0.0], [1.0], [1.5]]), defined)
    assert result.n == 3
    assert 0 <= result.low < result.high <= 1
    assert bootstrap_statistic(np.empty((0, 1)), defined).n == 0
    assert math.isnan(bootstrap_statistic(np.array([[0.5]]), defined).low)
