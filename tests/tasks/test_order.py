"""The order of distances between subjects."""

from __future__ import annotations

import numpy as np
import pytest

from harmbench.errors import SkipCell
from harmbench_tasks.order import Order, distances, rank_correlations


def test_rank_correlations_by_hand():
    before = distances(np.array([[0.0], [1.0], [3.0], [7.0]]))
    assert rank_correlations(before, 2 * before).tolist() == pytest.approx([1, 1, 1, 1])
    mirrored = before.max() - before
    assert rank_correlations(before, mirrored).tolist() == pytest.approx([-1, -1, -1, -1])
    assert rank_correlations(before, np.zeros_like(before)).tolist() == [0, 0, 0, 0]


def test_few_subjects_have_no_order(small_cohort):
    with pytest.raises(SkipCell, match="'domain1' has 2 test subjects"):
        Order("domain1").setup(small_cohort, 0)
