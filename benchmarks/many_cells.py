"""Ten thousand cells without work: planned, scheduled, computed, recorded and read.

Run it so::

    python benchmarks/many_cells.py --cells 10000 --executed 100 --submitted 100

Each step runs in a process of its own, which reports its CPU seconds (of child processes too),
its wall time and its peak memory. A cell costs what the harness adds to it; `--executed` of them
are computed in one process, `--submitted` by submitit's local executor, `CELLS_PER_JOB` in a
process and each fit in one of its own. The results of all cells are then stored and recorded as a
run does, and read by commands.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import blank_plugin

ROOT = Path(__file__).resolve().parents[1]
PLUGINS = (ROOT / "benchmarks/blank_plugin.py", ROOT / "tests/plugins/tiny_cohort.py")
CELLS_PER_SEED = len(blank_plugin.METHODS) * len(blank_plugin.TASKS)
CELLS_PER_JOB = 50


def spent() -> float:
    """Return the CPU seconds of this process and its ended children."""
    uses = [resource.getrusage(of) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in uses)


@contextmanager
def measured(title: str) -> Iterator[None]:
    """Print the CPU seconds and the wall time of a block, and the peak memory so far."""
    cpu, wall = spent(), time.perf_counter()
    yield
    cpu, wall = spent() - cpu, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{title:54} {cpu:9.2f} {wall:9.2f} {peak:9.0f}", flush=True)


def options(cells: int) -> Any:
    """Return the options of a run with a number of cells."""
    from harmbench.data.cohort_request import CohortRequest
    from harmbench.execution.plan.request import Request
    from harmbench.execution.schedule.run_options import RunOptions

    request = Request(
        methods=blank_plugin.METHODS,
        tasks=blank_plugin.TASKS,
        cohort=CohortRequest("tiny"),
        seeds=tuple(range(-(-cells // CELLS_PER_SEED))),
    )
    return RunOptions(request=request, plugins=PLUGINS, device="cpu")


def planned(cells: int, home: Path) -> Any:
    """Return the registry, and the plan of a run with a number of cells."""
    from harmbench.execution.plan.plan import make_plan
    from harmbench.execution.plan.selection import select
    from harmbench.plugins import Registry
    from harmbench.util.progress import Silent

    chosen = options(cells)
    registry = Registry.discover(chosen.plugins, home=home)
    return registry, make_plan(registry, select(registry, chosen.request), home, Silent())


def plan(cells: int, home: Path) -> None:
    """Plan the cells."""
    with measured(f"plan {cells} cells"):
        _, made = planned(cells, home)
    assert len(made.cells) == cells


def schedule(cells: int, home: Path) -> None:
    """Order all jobs, with an executor that ends each job as soon as it has 64."""
    import torch

    from harmbench.contracts.cell import Status
    from harmbench.execution.compute.job_result import JobResult
    from harmbench.execution.compute.runner import Runner
    from harmbench.execution.plan.durations import Durations
    from harmbench.execution.schedule.executors.base import Executor
    from harmbench.execution.schedule.scheduler import Scheduler
    from harmbench.util.progress import Silent

    class Immediate(Executor):
        """Ends jobs without work."""

        def __init__(self) -> None:
            self.waiting: list[Any] = []

        @property
        def free(self) -> int:
            return 64 - len(self.waiting)

        def submit(self, job: Any) -> None:
            self.waiting.append(job)

        def ended(self, seconds: float) -> list[Any]:
            jobs, self.waiting = self.waiting, []
            return [(job, JobResult(status=Status.DONE, reason="without work")) for job in jobs]

    registry, made = planned(cells, home)
    runner = Runner(registry=registry, home=home, device=torch.device("cpu"), progress=Silent())
    with measured(f"look up {cells} cells in the store, make the jobs"):
        scheduler = Scheduler(made, runner, Durations.read(home))
    with measured(f"schedule {len(scheduler.jobs)} jobs"):
        ended = sum(1 for _ in scheduler.run(Immediate(), Silent()))
    assert ended == cells


def execute(cells: int, home: Path, executor: str) -> None:
    """Compute cells without work, record them, and mirror the records in MLflow."""
    from rich.console import Console

    from harmbench.execution.plan.selection import select
    from harmbench.execution.schedule.executors.options import ExecutorOptions
    from harmbench.execution.schedule.executors.submitted import Resources
    from harmbench.plugins import Registry
    from harmbench.tracking.recorded_run import run_and_record
    from harmbench.util.progress_bars import shown

    chosen = options(cells)
    registry = Registry.discover(chosen.plugins, home=home)
    selection = select(registry, chosen.request)
    resources = Resources(cpus=1, gpus=0, cells_per_job=CELLS_PER_JOB)
    how = ExecutorOptions(name=executor, resources=resources)
    with (
        measured(f"run {cells} cells by the executor '{executor}'"),
        shown(Console(stderr=True)) as progress,
    ):
        summary = run_and_record(registry, selection, home, chosen, how, progress)
    assert not summary.failed, [result.reason for _, result in summary.results if result.reason]


def record(cells: int, home: Path) -> None:
    """Store and record the results of all cells, without computing and without MLflow."""
    from harmbench.contracts.cell import CellResult, Status
    from harmbench.statistics.estimate import estimates
    from harmbench.store.results import ResultsStore
    from harmbench.store.stores import CellStore

    _, made = planned(cells, home)
    store = CellStore(home / "cells")
    task = made.cells[0].task
    test = made.cells[0].data.test.load([0, 1])
    scores = task.score(test, None, made.cells[0].data, ())
    facts = {
        "headline": list(task.headline),
        "lower_is_better": [],
        "fit_seconds": 0.0,
        "test_subjects": 2,
        "metrics": {},
    }
    result = CellResult(status=Status.DONE, scores=scores, estimates=estimates(scores), facts=facts)
    ended = []
    with measured(f"store {cells} results"):
        for each in made.cells:
            with store.lock(each.cell.key, wait=True):
                ended.append(store.save(each.cell, result, b"", None))
    with ResultsStore(home / "results").writer("benchmark") as writer:
        tenth = cells // 10
        parts = (slice(tenth), slice(tenth, -tenth), slice(-tenth, None))
        for title, part in zip(("first", "middle", "last"), parts, strict=True):
            chosen = list(zip(made.cells[part], ended[part], strict=True))
            with measured(f"record the {title} {len(chosen)} of {cells} results"):
                for each, stored in chosen:
                    writer.append(each.cell, stored)


def mirror(cells: int, home: Path) -> None:
    """Record runs in MLflow's store, and say what one costs as the store grows."""
    from harmbench.contracts.cell import CellResult, Status
    from harmbench.tracking.recorder import MlflowRecorder

    _, made = planned(cells, home)
    recorder = MlflowRecorder(home, "benchmark")
    part = max(1, cells // 10)
    for start in range(0, cells, part):
        chosen = made.cells[start : start + part]
        with measured(f"mirror {len(chosen)} records in MLflow, after {start}"):
            for each in chosen:
                result = CellResult(status=Status.DONE, record=each.cell.key)
                recorder.record(each.cell, result, "benchmark")


def read(cells: int, home: Path) -> None:
    """Call commands on the results of all cells."""
    program = str(Path(sys.executable).with_name("harmbench"))
    plugins = [word for path in PLUGINS for word in ("--plugin", str(path))]
    chosen = options(cells).request
    selected = [
        *(word for name in chosen.methods for word in ("--method", name)),
        *(word for name in chosen.tasks for word in ("--task", name)),
        *(word for seed in chosen.seeds for word in ("--seed", str(seed))),
        *("--cohort", "tiny", "--device", "cpu"),
    ]
    commands = {
        "leaderboard": [program, "leaderboard"],
        "leaderboard, again": [program, "leaderboard"],
        "run --dry-run": [program, "run", *selected, *plugins, "--dry-run"],
    }
    for title, command in commands.items():
        with measured(f"harmbench {title}"):
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(f"{'  peak of the largest command so far, MiB':54} {peak:29.0f}")


STEPS: dict[str, Callable[[int, Path], None]] = {
    "plan": plan,
    "schedule": schedule,
    "serial": lambda cells, home: execute(cells, home, "serial"),
    "submitit": lambda cells, home: execute(cells, home, "submitit"),
    "record": record,
    "mirror": mirror,
    "read": read,
}


def main() -> None:
    """Measure every step in a new process, or one step in this process."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--cells", type=int, default=10_000, help="as the others, a multiple of 100"
    )
    parser.add_argument("--executed", type=int, default=100, help="in one process")
    parser.add_argument("--submitted", type=int, default=100, help="on the local cluster")
    parser.add_argument("--mirrored", type=int, default=1000, help="records for MLflow")
    parser.add_argument("--only", nargs="*", choices=list(STEPS))
    parser.add_argument("--step", nargs=3, metavar=("STEP", "CELLS", "HOME"), help="internal")
    given = parser.parse_args()
    if given.step:
        step, cells, home = given.step
        STEPS[step](int(cells), Path(home))
        return
    counts = {"serial": given.executed, "submitit": given.submitted, "mirror": given.mirrored}
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    print(f"{'step':54} {'CPU s':>9} {'wall s':>9} {'peak MiB':>9}")
    with tempfile.TemporaryDirectory(prefix="harmbench-cells-") as folder:
        for step in given.only or STEPS:
            # Computed cells have homes of their own, so that they are not in the store already.
            home = Path(folder) / (step if step in counts else "home")
            os.environ["HARMBENCH_HOME"] = str(home)
            command = [sys.executable, __file__, "--step", step]
            count = counts.get(step, given.cells)
            subprocess.run([*command, str(count), str(home)], check=True)


if __name__ == "__main__":
    main()
