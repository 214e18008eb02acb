"""Ranks and normalised scores, against their definitions and cases done by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmbench.statistics.ranking import normalized, ranks


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
