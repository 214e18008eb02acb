"""Atrophy: a known loss is measured after a good method, and not after a faulty one."""

from __future__ import annotations

import pytest

from harmbench_tasks.atrophy import Atrophy
from helpers import faulty_methods


@pytest.fixture
def task():
    return Atrophy("domain1")


def test_a_loss_is_measured_after_a_good_method(task, outcome, context):
    numbers = outcome(task, faulty_methods.good, context)
    assert numbers["atrophy_error"] < 3.5  # voxels of the tiny cohort are coarse
    assert numbers["atrophy_slope_cortex"] == pytest.approx(1, abs=0.3)


def test_one_histogram_for_all_hides_a_loss(task, outcome, context):
    good, faulty = (
        outcome(task, harmonize, context)
        for harmonize in (faulty_methods.good, faulty_methods.equalizes)
    )
    assert faulty["atrophy_error"] > 1.5 * good["atrophy_error"]


def test_scans_are_a_baseline_and_three_visits(task, small_cohort):
    data = task.setup(small_cohort, 0)
    sessions = [scan.session for scan in data.test.scans][:4]
    assert sessions == ["abaseline", "afirst", "asecond", "athird"]
    assert len(data.parameters["true changes"]) == 2 * 3
    again = task.setup(small_cohort, 0)
    assert again.test.digest == data.test.digest
