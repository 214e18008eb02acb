"""Matrices, computed in this process."""

from __future__ import annotations

import pytest

from harmbench.execution.plan.durations import Durations
from harmbench.execution.schedule.executors.serial import Serial
from harmbench.execution.schedule.scheduler import Scheduler
from harmbench.execution.schedule.session import Session
from harmbench.util.progress import Silent
from helpers.command_line import inside

__all__ = ["inside"]


@pytest.fixture
def compute(tmp_path):
    """Compute a plan; return each job with its result, and the names of the fits made."""

    def run(plan, runner):
        scheduler = Scheduler(plan, runner, Durations({}, {}))
        executor = Serial(Session(plan, runner, scheduler.jobs, tmp_path / "logs"))
        results = list(scheduler.run(executor, Silent()))
        return results, [scheduler.jobs[key].payload.name for key in scheduler.fits_made]

    return run
