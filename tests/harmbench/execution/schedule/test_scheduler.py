"""Scheduling: order of jobs, failures, executors, and jobs held by other processes."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

from harmbench.contracts.cell import Status
from harmbench.data.cohort_request import CohortRequest
from harmbench.execution.compute.runner import Runner
from harmbench.execution.plan.durations import Durations
from harmbench.execution.plan.plan import make_plan
from harmbench.execution.plan.request import Request
from harmbench.execution.plan.selection import select
from harmbench.execution.schedule.executors.options import ExecutorOptions
from harmbench.execution.schedule.executors.submitted import Resources
from harmbench.execution.schedule.invocation import Invocation
from harmbench.execution.schedule.jobs import durations, jobs, priorities
from harmbench.execution.schedule.run_options import RunOptions
from harmbench.execution.schedule.scheduler import Scheduler
from harmbench.execution.schedule.session import Session, log_name
from harmbench.plugins import Registry
from harmbench.util.progress import Silent
from helpers import PLUGINS
from helpers.lanes import Lanes

FILES = tuple(PLUGINS / name for name in ("tiny_cohort.py", "odd_methods.py", "built_methods.py"))
NOTHING_KNOWN = Durations({}, {})


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("COUNTS_LOG", str(tmp_path / "fits.log"))
    return tmp_path


def plan_of(home, methods, tasks, **options):
    registry = Registry.discover(FILES)
    request = Request(
        methods=tuple(methods), tasks=tuple(tasks), cohort=CohortRequest("tiny"), **options
    )
    return make_plan(registry, select(registry, request), home, Silent())


def runner(home):
    return Runner(
        registry=Registry.discover(FILES), home=home, device=torch.device("cpu"), progress=Silent()
    )


def run(home, executor, methods, tasks, lanes=None, **choice):
    """Run cells of the tiny cohort with an executor; return the results and the new fits."""
    plan = plan_of(home, methods, tasks)
    options = RunOptions(
        request=Request(methods=tuple(methods), tasks=tuple(tasks), cohort=CohortRequest("tiny")),
        plugins=FILES,
        device="cpu",
        threads=1,
    )
    scheduler = Scheduler(plan, runner(home), NOTHING_KNOWN)
    with Invocation.begin(home, options, ExecutorOptions(executor).to_json()) as invocation:
        session = Session(plan, runner(home), scheduler.jobs, invocation.logs)
        opened = ExecutorOptions(executor, **choice).open(invocation, session, lanes or Lanes())
        with opened:
            results = {
                (planned.cell.method, planned.cell.task): result
                for planned, result in scheduler.run(opened, Silent())
            }
    return results, [scheduler.jobs[key].payload.name for key in scheduler.fits_made]


def test_each_fit_has_one_job_before_the_jobs_that_need_it(home):
    plan = plan_of(home, ["identity", "built", "also-built", "counts"], ["domain1", "sim-exp"])
    result = jobs(plan, NOTHING_KNOWN)
    titles = [job.title for job in result.values()]
    assert [title for title in titles if "fit of" in title] == [
        f"fit of {name}, seed 0" for name in ("base", "built", "also-built", "counts")
    ]
    assert len(titles) == 4 + 8
    seen = set()
    for key, job in result.items():
        assert job.after <= seen
        seen.add(key)


def test_stored_results_have_no_job(home):
    plan = plan_of(home, ["built"], ["domain1"])
    keys = list(jobs(plan, NOTHING_KNOWN))
    assert [job.title for job in jobs(plan, NOTHING_KNOWN, keys[:2]).values()] == [
        "built on domain1, seed 0"
    ]
    assert not jobs(plan, NOTHING_KNOWN, keys)


def test_priorities_are_the_lengths_of_the_longest_chains(home):
    plan = plan_of(home, ["identity", "counts", "built"], ["domain1"])
    costs = Durations(
        {("base", "quick"): 50.0, ("built", "quick"): 10.0, ("counts", "quick"): 20.0},
        {(name, "quick"): 1.0 for name in ("identity", "counts", "built")},
    )
    result = jobs(plan, costs)
    chains = {
        result[key].title: value for key, value in priorities(result, durations(result)).items()
    }
    scans = len(plan.cells[0].data.test)
    assert chains["fit of base, seed 0"] == 60 + scans
    assert chains["fit of built, seed 0"] == 10 + scans
    assert chains["fit of counts, seed 0"] == 20 + scans
    assert chains["identity on domain1, seed 0"] == scans


def test_cells_of_the_same_scans_follow_the_first_if_the_method_is_slow(home):
    plan = plan_of(home, ["counts"], ["sim-exp", "domain1", "retest-domain1"])
    _, first, second = (planned.cell.key for planned in plan.cells)

    def followed(seconds):
        costs = Durations({}, {}, {("counts", "quick"): seconds} if seconds else {})
        return {key: job.follows for key, job in jobs(plan, costs).items() if job.follows}

    assert followed(1.0) == {second: {first}}
    assert followed(0.01) == {}
    assert followed(None) == {}
    # A stored first cell holds up no other.
    slow = Durations({}, {}, {("counts", "quick"): 1.0})
    assert not jobs(plan, slow, [first])[second].follows


def test_durations_are_read_from_the_stores(home):
    run(home, "serial", ["base"], ["domain1"])
    costs = Durations.read(home)
    plan = plan_of(home, ["base"], ["sim-exp"])
    (planned,) = plan.cells
    assert costs.of_fit(planned.fit) >= 0.2  # that is what the fit of `base` waits
    assert costs.of_cell(planned) > 0
    (other,) = plan_of(home, ["built"], ["sim-exp"]).cells
    assert costs.of_cell(other) is None


def test_a_failed_fit_is_tried_once_and_fails_its_cells(home):
    results, fits = run(
        home, "serial", ["peeks", "identity"], ["domain1", "sim-exp", "site-elsewhere"]
    )
    assert fits == []
    for (method, _), result in results.items():
        if method == "peeks":
            assert result.status is Status.FAILED
            assert "BlindnessError" in result.reason
            assert "traceback" in result.facts
        else:
            assert result.status is Status.DONE
    logs = sorted(path.name for path in home.glob("runs/*/logs/*.log"))
    assert len([name for name in logs if name.startswith("fit-of-peeks")]) == 1
    assert not [name for name in logs if name.startswith("peeks-on")]
    (log,) = home.glob("runs/*/logs/fit-of-peeks*.log")
    assert "BlindnessError" in log.read_text()
    assert "Traceback" in log.read_text()


@pytest.mark.parametrize(
    ("workers", "methods"),
    [
        (1, ["fails", "learns"]),
        pytest.param(2, ["identity", "counts", "built", "fails", "learns"], marks=pytest.mark.slow),
    ],
)
def test_workers_and_one_process_have_equal_results(
    home, tmp_path_factory, monkeypatch, workers, methods
):
    tasks = ["sim-exp"]
    # The order of sums depends on the number of threads.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    alone, fits = run(home, "serial", methods, tasks)
    torch.set_num_threads(threads)
    other = tmp_path_factory.mktemp("other")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (other / "cohorts").symlink_to(home / "cohorts")
    lanes = Lanes()
    shared, shared_fits = run(other, "local", methods, tasks, lanes, workers=workers)
    assert sorted(shared_fits) == sorted(fits)
    assert {key: result.status for key, result in shared.items()} == {
        key: result.status for key, result in alone.items()
    }
    for key, result in alone.items():
        if result.scores is not None:
            pd.testing.assert_frame_equal(
                result.scores, shared[key].scores, check_exact=True, obj=str(key)
            )
        assert result.reason == shared[key].reason
    assert "fit of learns, seed 0" in lanes.shown


@pytest.mark.slow
def test_a_job_is_retried_once_after_its_worker_died(home):
    lanes = Lanes()
    results, _ = run(home, "local", ["dies", "identity"], ["domain1"], lanes, workers=1)
    died = results["dies", "domain1"]
    assert died.status is Status.FAILED
    assert "killed by signal 9 (possibly out of memory), in both attempts" in died.reason
    assert results["identity", "domain1"].status is Status.DONE
    assert any("during dies on domain1, seed 0; retrying" in line for line in lanes.lines)


@pytest.mark.slow
def test_jobs_of_submitit_have_the_same_results(home):
    resources = Resources(cells_per_job=2)
    results, fits = run(
        home, "submitit", ["identity", "counts", "fails"], ["domain1"], resources=resources
    )
    assert fits == ["counts"]
    assert [results[name, "domain1"].status for name in ("identity", "counts", "fails")] == [
        Status.DONE,
        Status.DONE,
        Status.FAILED,
    ]
    assert "this method always fails" in results["fails", "domain1"].reason


def test_a_job_that_another_process_holds_is_retried_later(home):
    plan = plan_of(home, ["identity", "histogram"], ["domain1"])
    scheduler = Scheduler(plan, runner(home), NOTHING_KNOWN)
    session = Session(plan, runner(home), scheduler.jobs, home / "logs")
    first, second = plan.cells
    methods = []
    options = RunOptions(request=Request(methods=(), tasks=()))
    with (
        Invocation.begin(home, options, {}) as invocation,
        ExecutorOptions().open(invocation, session, Lanes()) as ex,
    ):
        lock = runner(home).cells.lock(first.cell.key)
        lock.__enter__()
        for planned, result in scheduler.run(ex, Silent()):
            methods.append(planned.cell.method)
            assert result.status is Status.DONE
            if planned is second:
                lock.__exit__(None, None, None)
    assert methods == ["histogram", "identity"]


def test_run_options_survive_a_round_trip_through_json(tmp_path):
    request = Request(
        methods=("a", "b"),
        tasks=("c",),
        cohort=CohortRequest("bids:/data", Path("r.toml"), split_file=Path("s.tsv")),
        folds=5,
        seeds=(0, 4),
        assignments=("a.x=1",),
    )
    options = RunOptions(
        request=request,
        plugins=(Path("/p.py"),),
        device="cuda:1",
        threads=3,
        deterministic=True,
        max_memory=100,
    )
    assert RunOptions.from_json(options.to_json()) == options


def test_log_files_are_named_by_title_and_key(home):
    plan = plan_of(home, ["identity"], ["sim-gamma0.7"])
    (job,) = jobs(plan, NOTHING_KNOWN).values()
    assert log_name(job) == f"identity-on-sim-gamma0.7-seed-0-{job.key[:8]}.log"
