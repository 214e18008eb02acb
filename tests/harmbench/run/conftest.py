"""Matrices, computed in this process."""

from __future__ import annotations

import pytest

from harmbench.progress import Silent
from harmbench.run.costs import Costs
from harmbench.run.executors.serial import Serial
from harmbench.run.matrix import Matrix
from harmbench.run.session import Session


@pytest.fixture
def compute(tmp_path):
    """Compute a plan; return each job with its result, and the names of the fits made."""

    def run(plan, runner):
        matrix = Matrix(plan, runner, Costs({}, {}))
        executor = Serial(Session(plan, runner, matrix.works, tmp_path / "logs"))
        results = list(matrix.run(executor, Silent()))
        return results, [matrix.works[key].task.name for key in matrix.fits_made]

    return run
