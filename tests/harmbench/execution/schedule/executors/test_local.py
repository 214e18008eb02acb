"""Worker processes of this machine: what the parent learns from one that ends."""

from __future__ import annotations

import sys

import pytest

from harmbench.contracts.cell import Status
from harmbench.data.cohort_request import CohortRequest
from harmbench.execution.plan.durations import Durations
from harmbench.execution.plan.plan import make_plan
from harmbench.execution.plan.request import Request
from harmbench.execution.plan.selection import select
from harmbench.execution.schedule.executors.local import LocalExecutor
from harmbench.execution.schedule.jobs import jobs
from harmbench.execution.schedule.run_options import RunOptions
from harmbench.plugins import Registry
from harmbench.util.progress import Silent
from helpers import PLUGINS
from helpers.lanes import Lanes

FILES = (PLUGINS / "tiny_cohort.py",)
REQUEST = Request(methods=("identity",), tasks=("domain1",), cohort=CohortRequest("tiny"))


@pytest.fixture
def job(tmp_path):
    registry = Registry.discover(FILES)
    plan = make_plan(registry, select(registry, REQUEST), tmp_path, Silent())
    (job,) = jobs(plan, Durations({}, {})).values()
    return job


def test_a_worker_that_is_killed_within_a_line_has_ended(tmp_path, monkeypatch, job):
    worker = tmp_path / "worker"
    worker.write_text('#!/bin/sh\nprintf \'{"log": "half a li\'\nkill -9 $$\n')
    worker.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(worker))
    options = RunOptions(request=REQUEST, plugins=FILES, device="cpu", threads=1)
    with LocalExecutor(options, tmp_path, tmp_path / "logs", ["cpu"], Lanes()) as executor:
        executor.submit(job)
        # Of the first attempt, then of the second.
        ended = [*executor.ended(20), *executor.ended(20)]
    ((failed, result),) = ended
    assert failed is job
    assert result.status is Status.FAILED
    assert "killed by signal 9 (possibly out of memory), in both attempts" in result.reason
