"""Matrices, computed in this process."""

from __future__ import annotations

import pytest

from harmbench.execution.plan.durations import Costs
from harmbench.execution.schedule.executors.serial import Serial
from harmbench.execution.schedule.scheduler import Matrix
from harmbench.execution.schedule.session import Session
from harmbench.util.progress import Silent


@pytest.fixture
def compute(tmp_path):
    """Compute a plan; return each job with its result, and the names of the fits made."""

    def run(plan, runner):
        matrix = Matrix(plan, runner, Costs({}, {}))
        executor = Serial(Session(plan, runner, matrix.works, tmp_path / "logs"))
        results = list(matrix.run(executor, Silent()))
        return results, [matrix.works[key].task.name for key in matrix.fits_made]

    return run
