"""Subjects are what is averaged and resampled."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from harmbench.statistics.estimate import (
    Estimate,
    bootstrap,
    bootstrap_statistic,
    by_subject,
    estimates,
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


def test_interval_has_the_width_that_theory_says() -> None:
    values = np.random.default_rng(0).normal(25, 3, size=100)
    result = bootstrap(values)
    half = 1.96 * values.std() / 10
    assert result.mean == pytest.approx(values.mean())
    assert result.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert result.high == pytest.approx(values.mean() + half, abs=0.1 * half)
    assert result.n == 100


def test_interval_of_two_subjects_is_exact() -> None:
    # A quarter of all resamples is the one subject twice, a quarter the other.
    assert bootstrap([1.0, 2.0]) == Estimate(1.5, 1.0, 2.0, 2)


def test_seeded() -> None:
    values = np.random.default_rng(1).normal(size=20)
    assert bootstrap(values, seed=3) == bootstrap(values, seed=3)
    assert bootstrap(values, seed=3) != bootstrap(values, seed=4)


def test_shift_and_scale_carry_over() -> None:
    values = np.random.default_rng(2).normal(size=15)
    plain, moved = bootstrap(values), bootstrap(10 + 2 * values)
    for name in ("mean", "low", "high"):
        assert getattr(moved, name) == pytest.approx(10 + 2 * getattr(plain, name))


@pytest.mark.parametrize("value", [21.5, math.inf])
def test_one_subject_has_no_interval(value: float) -> None:
    result = bootstrap([value, math.nan])
    assert (result.mean, result.n) == (value, 1)
    assert math.isnan(result.low)
    assert math.isnan(result.high)


def test_a_bootstrap_without_values_is_nan() -> None:
    result = bootstrap([math.nan])
    assert result.n == 0
    assert math.isnan(result.mean)


def test_infinities() -> None:
    assert bootstrap([math.inf] * 5) == Estimate(math.inf, math.inf, math.inf, 5)
    some = bootstrap([math.inf, *[20.0] * 3])
    # 0.75^4 = 32 % of the resamples are without the infinite one.
    assert (some.mean, some.low, some.high) == (math.inf, 20.0, math.inf)
    both = bootstrap([math.inf, -math.inf, 1.0])
    assert math.isnan(both.mean)
    assert math.isnan(both.low)
    assert both.n == 3


def test_a_statistic_of_all_subjects_is_resampled_as_means_are() -> None:
    values = np.random.default_rng(0).normal(size=(7, 1))
    result = bootstrap_statistic(values, lambda subjects: subjects.mean(axis=(-2, -1)))
    plain = bootstrap(values[:, 0])
    assert result.n == plain.n == 7
    for name in ("mean", "low", "high"):
        assert getattr(result, name) == pytest.approx(getattr(plain, name), abs=1e-12)


def test_draws_without_the_statistic_do_not_count() -> None:
    def defined(subjects):
        mean = subjects.mean(axis=(-2, -1))
        return np.where(mean > 1, np.nan, mean)

    result = bootstrap_statistic(np.array([[0.0], [1.0], [1.5]]), defined)
    assert (result.low, result.n) == (0.0, 3)
    assert result.high <= 1
    assert bootstrap_statistic(np.empty((0, 1)), defined).n == 0
    assert math.isnan(bootstrap_statistic(np.array([[0.5]]), defined).low)
