"""The scans of the task of atrophy."""

from __future__ import annotations

import pytest

from harmbench_tasks.atrophy import Atrophy


@pytest.fixture
def task():
    return Atrophy("domain1")


def test_scans_are_a_baseline_and_three_visits(task, small_cohort):
    data = task.setup(small_cohort, 0)
    sessions = [scan.session for scan in data.test.scans][:4]
    assert sessions == ["abaseline", "afirst", "asecond", "athird"]
    assert len(data.parameters["true changes"]) == 2 * 3
    again = task.setup(small_cohort, 0)
    assert again.test.digest == data.test.digest
