"""The ceiling: the paired truth."""

from __future__ import annotations

import pytest

from harmbench import HarmbenchError, Needs
from harmbench_methods.oracle import Oracle
from harmbench_tasks.simulated import Exp
from helpers.methods import fitted, mean_psnr


def test_its_score_is_infinite(small_cohort) -> None:
    data = Exp().setup(small_cohort, 0)
    assert mean_psnr(fitted(Oracle, data), data) == float("inf")


def test_scans_without_truth_are_refused(small_cohort) -> None:
    data = Exp().setup(small_cohort, 0)
    with pytest.raises(HarmbenchError, match="no truth"):
        fitted(Oracle, data)(data.test.load([0]))


def test_it_is_the_ceiling_and_needs_the_truth() -> None:
    assert Oracle.control == "ceiling"
    assert Oracle.needs is Needs.TRUTH
