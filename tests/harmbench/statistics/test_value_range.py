"""Intervals within the range of a metric, and their coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harmbench.statistics.estimate import Estimate, mean_intervals
from harmbench.statistics.value_range import (
    NOT_NEGATIVE,
    SHARE,
    UNBOUNDED,
    UNIT,
    ValueRange,
    decode_ranges,
    encode_ranges,
)


@pytest.mark.parametrize("n", [3, 8])
@pytest.mark.parametrize("values", [NOT_NEGATIVE, UNIT, ValueRange(-1.0, 1.0)])
def test_no_interval_leaves_its_range_and_each_holds_its_mean(n, values):
    random = np.random.default_rng(0)
    drawn = random.random((n, 200)) ** 8  # skewed towards 0
    if values.low < 0:
        drawn = 2 * drawn - 1
    wide = mean_intervals(drawn)
    assert any(estimate.low < values.low for estimate in wide)
    for estimate in map(values.interval, wide):
        assert values.low <= estimate.low <= estimate.mean <= estimate.high <= values.high


def test_cutting_an_interval_excludes_no_possible_mean():
    random = np.random.default_rng(1)
    truth = 1.0  # of exponential values
    wide = mean_intervals(random.exponential(truth, size=(6, 2000)))
    narrow = [NOT_NEGATIVE.interval(estimate) for estimate in wide]
    assert wide != narrow
    covered = [[each.low <= truth <= each.high for each in some] for some in (wide, narrow)]
    assert covered[0] == covered[1]


def test_an_event_of_no_subject_has_an_interval():
    estimate = SHARE.interval(Estimate(0.0, 0.0, 0.0, 8))
    assert (estimate.low, round(estimate.high, 2)) == (0.0, 0.32)
    assert SHARE.interval(Estimate(0.0, 0.0, 0.0, 14)).low == 0.0
    assert SHARE.interval(Estimate(1.0, 1.0, 1.0, 14)).high == 1.0
    half = SHARE.interval(Estimate(0.5, math.nan, math.nan, 10))
    assert (half.low, half.high) == pytest.approx((0.2366, 0.7634), abs=1e-4)


def test_intervals_of_shares_cover_events_of_subjects_and_of_their_scans():
    random = np.random.default_rng(2)
    rates = []
    for share in (0.1, 0.3, 0.5):
        for scans in (1, 5):
            # The scans of a subject are alike: each subject has a share of its own.
            own = random.beta(2 * share, 2 * (1 - share), size=(8, 2000))
            values = random.binomial(scans, share if scans == 1 else own, size=own.shape) / scans
            means = values.mean(axis=0)
            intervals = [SHARE.interval(Estimate(float(mean), 0, 0, 8)) for mean in means]
            rates.append(np.mean([each.low <= share <= each.high for each in intervals]))
    assert min(rates) > 0.92
    assert np.mean(rates) > 0.95


def test_ranges_are_written_and_read():
    ranges = {"harm": ValueRange(0.0, 40.0), "harmed": SHARE, "age_r2": ValueRange(high=1.0)}
    assert decode_ranges(encode_ranges({**ranges, "psnr": UNBOUNDED})) == ranges
    assert decode_ranges("") == {}
