"""Sessions of worker processes, which rebuild the plan from the options of the run."""

from __future__ import annotations

import pytest

from harmbench.contracts.cell import Status
from harmbench.data.cohort_request import CohortRequest
from harmbench.execution.plan.durations import Durations
from harmbench.execution.plan.plan import make_plan
from harmbench.execution.plan.request import Request
from harmbench.execution.plan.selection import select
from harmbench.execution.schedule.jobs import jobs
from harmbench.execution.schedule.run_options import RunOptions
from harmbench.execution.schedule.session import Session
from harmbench.plugins import Registry
from harmbench.util.progress import Silent
from helpers import PLUGINS

FILES = (PLUGINS / "tiny_cohort.py",)


@pytest.mark.parametrize("with_file", [False, True])
def test_a_worker_computes_the_jobs_of_every_fold(tmp_path, monkeypatch, with_file):
    monkeypatch.setenv("HARMBENCH_HOME", str(tmp_path))
    split_file = None
    if with_file:
        split_file = tmp_path / "folds.tsv"
        subjects = [*(f"p{i}" for i in range(6)), *(f"q{i}" for i in range(4))]
        rows = [f"{subject}\t{1 + index % 2}" for index, subject in enumerate(subjects)]
        split_file.write_text("\n".join(["participant_id\tfold", *rows]))
    request = Request(
        methods=("identity", "histogram"),
        tasks=("sim-exp",),
        cohort=CohortRequest("tiny", split_file=split_file),
        folds=2,
    )
    registry = Registry.discover(FILES)
    plan = make_plan(registry, select(registry, request), tmp_path, Silent())
    options = RunOptions.from_json(RunOptions(request=request, plugins=FILES).to_json())
    session = Session.of(options, tmp_path, tmp_path / "logs", Silent())
    planned = jobs(plan, Durations({}, {}))
    assert [job.title for job in planned.values()] == [
        f"{name}{fold}"
        for fold in (", fold 1", ", fold 2")
        for name in (
            "identity on sim-exp, seed 0",
            "fit of histogram, seed 0",
            "histogram on sim-exp, seed 0",
        )
    ]
    assert [session.perform(key).status for key in planned] == [Status.DONE] * 6
    names = [path.name for path in (tmp_path / "logs").iterdir()]
    assert sum("fold-2" in name for name in names) == 3
    if with_file:
        assert plan.cells[0].data.test.subjects == ("p0", "p2", "p4")
