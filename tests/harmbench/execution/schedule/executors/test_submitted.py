"""Jobs of a cluster: how many are sent, which share a cluster job, and which are sent again."""

from __future__ import annotations

import os
import signal

import pytest

from harmbench.contracts.cell import Status
from harmbench.data.cohort_request import CohortRequest
from harmbench.execution.plan.durations import Durations
from harmbench.execution.plan.plan import make_plan
from harmbench.execution.plan.request import Request
from harmbench.execution.plan.selection import select
from harmbench.execution.schedule.executors.submitted import Resources, Submitted
from harmbench.execution.schedule.jobs import jobs
from harmbench.execution.schedule.run_options import RunOptions
from harmbench.plugins import Registry
from harmbench.util.progress import Silent
from helpers import PLUGINS

submitit = pytest.importorskip("submitit")

FILES = tuple(PLUGINS / name for name in ("tiny_cohort.py", "odd_methods.py"))
REQUEST = Request(
    methods=("identity", "histogram", "counts", "learns"),
    tasks=("sim-exp", "domain1"),
    cohort=CohortRequest("tiny"),
    seeds=(0, 1),
)


@pytest.fixture
def executor(tmp_path):
    """Return an executor of processes on this machine, with three cells in each cluster job."""
    options = RunOptions(request=REQUEST, plugins=FILES, device="cpu", threads=1)
    resources = Resources(cells_per_job=3, gpus=0, cpus=1)
    with Submitted(options, tmp_path, tmp_path / "logs", resources, "local") as opened:
        opened._most_sent = 4
        yield opened


@pytest.fixture
def planned_jobs(tmp_path):
    """Return the jobs of two seeds: in each three fits, one of a network, and eight cells."""
    registry = Registry.discover(FILES)
    plan = make_plan(registry, select(registry, REQUEST), tmp_path, Silent())
    return list(jobs(plan, Durations({}, {})).values())


def test_a_job_may_exceed_its_time_limit_a_hundred_times(executor):
    with executor._cluster.batch():
        sent = executor._cluster.submit(print)
    # What submitit counts down with every time limit, in the file that the job reads.
    delayed = submitit.core.utils.DelayedSubmission.load(sent.paths.submitted_pickle)
    assert delayed._timeout_countdown == 100
    sent.result()


def test_the_queue_is_filled_again_when_half_of_it_has_ended(executor):
    free = []
    for count in range(5):
        executor._sent = [(["job"] * 3, None)] * count
        free.append(executor.free)
    assert free == [12, 9, 6, 0, 0]
    # An array that is being filled is filled completely.
    executor._unsent = [None]
    executor._sent = [(["job"] * 3, None)] * 3
    assert executor.free == 2
    executor._unsent = [None] * 3
    assert executor.free == 0
    executor._unsent, executor._sent = [], []


def test_jobs_of_a_seed_share_a_cluster_job_but_fits_of_networks(executor, planned_jobs):
    for job in planned_jobs:
        executor.submit(job)
    groups = executor._groups()
    fits = [sorted(job.payload.name for job in group) for group in groups if group[0].is_fit]
    assert sorted(fits) == [["counts", "histogram"]] * 2 + [["learns"]] * 2
    cells = [group for group in groups if not group[0].is_fit]
    assert sorted(len(group) for group in cells) == [2, 2, 3, 3, 3, 3]
    assert all(len({job.payload.cell.seed for job in group}) == 1 for group in cells)
    assert {job.key for group in groups for job in group} == {job.key for job in planned_jobs}


class Ended:
    """A cluster job that has ended, with an error or with the results of its jobs."""

    job_id = "7"

    def __init__(self, error=None, results=()):
        self.error, self.results = error, results

    def exception(self):
        """Return the error."""
        return self.error

    def result(self):
        """Return the results."""
        return self.results


def test_lost_cells_are_sent_again_one_by_one_and_then_fail(executor, planned_jobs):
    lost = Ended(submitit.core.utils.UncompletedJobError("the node is gone"))
    group = [job for job in planned_jobs if not job.is_fit][:3]
    executor._sent = [(group, lost)]
    assert list(executor._end(group, lost)) == []
    assert executor._groups() == [[job] for job in group]
    executor._unsent, executor._sent = [], [(group[:1], lost)]
    ((job, outcome),) = executor._end(group[:1], lost)
    assert job is group[0]
    assert outcome.status is Status.FAILED
    assert "cluster job 7 has no result: the node is gone" in outcome.reason
    assert executor._unsent == []


@pytest.mark.slow
def test_a_killed_cluster_job_computes_its_other_cells_again(executor, planned_jobs):
    cells = [job for job in planned_jobs if job.title.startswith("identity")][:2]
    for job in cells:
        executor.submit(job)
    executor._send()
    ((group, sent),) = executor._sent
    assert group == cells
    os.kill(int(sent.job_id), signal.SIGKILL)
    outcomes = {}
    while len(outcomes) < len(cells):
        outcomes |= {job.key: outcome for job, outcome in executor.ended(60)}
    assert {outcome.status for outcome in outcomes.values()} == {Status.DONE}
    assert executor._attempts == {job.key: 1 for job in cells}
