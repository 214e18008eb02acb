"""Paired differences and corrected p-values, against cases done by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harmbench.statistics.hypothesis import holm, paired_differences


def test_holm_as_worked_by_hand():
    # Ordered 0.005, 0.01, 0.03, 0.04: times 4, 3, 2, 1, and never falling.
    result = holm([0.01, 0.04, math.nan, 0.03, 0.005])
    assert result[[0, 1, 3, 4]] == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert math.isnan(result[2])
    assert holm([0.9, 0.8]).tolist() == [1.0, 1.0]


def test_differences_use_common_seeds_and_equal_infinities_are_equal():
    one = np.array([[1.0, math.inf, 5.0, 2.0], [3.0, math.inf, math.nan, math.nan]])
    other = np.array([[0.0, math.inf, 1.0, math.nan], [math.nan, 7.0, 1.0, 9.0]])
    assert paired_differences(one, other).tolist()[:3] == [1.0, math.inf, 4.0]
    assert math.isnan(paired_differences(one, other)[3])
    assert paired_differences(np.array([[0.1 + 0.2]]), np.array([[0.3]])).tolist() == [0.0]
