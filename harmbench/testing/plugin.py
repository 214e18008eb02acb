"""The pytest plugin: fixtures with scans, and the costs of checked methods.

Every run of pytest loads it where harmbench is installed, so it imports nothing heavy.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from harmbench.data.cohort import Cohort
    from harmbench.data.scans import Scans


@pytest.fixture(scope="session")
def harmbench_cohort() -> Cohort:
    """The tiny cohort that methods and tasks are checked on; do not change it."""
    from harmbench.testing.tiny import tiny_cohort

    return tiny_cohort()


@pytest.fixture
def harmbench_scans(harmbench_cohort: Cohort) -> Scans:
    """The cohort's two test scans of its source `domain1`, as a method receives them."""
    scans = harmbench_cohort.scans("domain1", "test").without_labels()
    return scans.load(range(len(scans)))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print time and memory of the checked methods and tasks."""
    module = sys.modules.get("harmbench.testing.parametrize")
    checked = getattr(module, "checked", {}).values()
    lines = [f"{report.name}: {report.costs}" for report in checked if report.costs]
    if lines:
        terminalreporter.section("costs on the tiny cohort of harmbench")
        for line in lines:
            terminalreporter.line(line)
