"""The plugin of pytest: scans to write tests with, and what the checked methods cost.

Loaded by every run of pytest where harmbench is installed, so it loads nothing else by itself.
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
    """The tiny cohort that methods and tasks are checked on; read only."""
    from harmbench.testing.tiny_cohort import tiny_cohort

    return tiny_cohort()


@pytest.fixture
def harmbench_scans(harmbench_cohort: Cohort) -> Scans:
    """The cohort's two test scans of its source `domain1`, as a method is handed them."""
    scans = harmbench_cohort.scans("domain1", "test").without_labels()
    return scans.load(range(len(scans)))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Tell what the methods and tasks cost that were checked."""
    module = sys.modules.get("harmbench.testing.parametrize")
    checked = getattr(module, "checked", {}).values()
    lines = [f"{one.name}: {one.costs}" for one in checked if one.costs]
    if lines:
        terminalreporter.section("costs on the tiny cohort of harmbench")
        for line in lines:
            terminalreporter.line(line)
