"""Overhead of the harness relative to a bare script that makes the same calls.

Both run alternately in one process, on the same cohort and the same stored fits, so that other
load on the machine affects both alike::

    python benchmarks/overhead.py

Timed are a run that computes all cells (methods x tasks, with scores, figures, stores and
MLflow), the same run with all results in the store, planning, and two commands: a listing, and
`harmbench run` with all results in the store.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch

from harmbench.cli.run_cells import compute
from harmbench.data.cohort_request import CohortRequest
from harmbench.execution.compute.apply import harmonized_by
from harmbench.execution.compute.keyframes import Keyframes
from harmbench.execution.compute.runner import Runner
from harmbench.execution.compute.slices import Slices
from harmbench.execution.plan.durations import Durations
from harmbench.execution.plan.plan import Plan, make_plan
from harmbench.execution.plan.request import Request
from harmbench.execution.plan.selection import select
from harmbench.execution.schedule.run_options import RunOptions
from harmbench.plugins import Registry
from harmbench.store.slices import write_slices
from harmbench.tracking.connection import connect
from harmbench.util.progress import Silent

CPU = torch.device("cpu")
METHODS = ("histogram", "blindcurve")
TASKS = ("sim-exp", "sim-bias", "domain2")


def bare(plan: Plan, methods: dict[str, torch.nn.Module]) -> None:
    """Harmonise, score and draw the cells of a plan, without the harness."""
    for planned in plan.cells:
        frames = []
        keyframes = Keyframes(planned.cell)
        slices = Slices()
        data, method = planned.data, methods[planned.cell.method]
        for index in range(len(data.test)):
            source = data.test.load([index])
            truth = None if data.references is None else data.references.load([index])
            harmonized = harmonized_by(method, source, truth, 0, CPU)
            # With the source, which some metrics compare with.
            scored = replace(harmonized, source=source.images)
            frames.append(planned.task.score(scored, truth, data, plan.metrics))
            keyframes.add(source, harmonized, truth)
            slices.add(source, harmonized, truth)
        scores = pd.concat(frames, ignore_index=True)
        with tempfile.TemporaryFile() as picture:
            figure = keyframes.figure(scores, data, planned.task.headline, lambda scans: scans)
            figure.savefig(picture, dpi=110)
        with tempfile.TemporaryDirectory() as folder:
            write_slices(Path(folder) / "slices.npz", slices.arrays(data.target))


@contextmanager
def home_without_results(home: Path) -> Iterator[Path]:
    """Make a temporary home with the same cohorts and fits, and an empty MLflow store."""
    copy = Path(tempfile.mkdtemp(prefix="harmbench-overhead-"))
    for name in ("cohorts", "fits", "bounds"):
        if (home / name).exists():
            (copy / name).symlink_to(home / name)
    connect(copy)  # creates the tables, which is not timed
    try:
        yield copy
    finally:
        shutil.rmtree(copy)


@contextmanager
def timed(seconds: list[float]) -> Iterator[None]:
    """Append the duration of the block."""
    start = time.perf_counter()
    yield
    seconds.append(time.perf_counter() - start)


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cohort", default="phantom:12", help="as of `harmbench run`")
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--tasks", nargs="+", default=TASKS)
    parser.add_argument("--steps", type=int, default=20, help="training steps of the flow")
    return parser.parse_args()


def request(args: argparse.Namespace) -> Request:
    """Return the request for the cells that are timed."""
    return Request(
        methods=tuple(args.methods),
        tasks=tuple(args.tasks),
        cohort=CohortRequest(args.cohort),
        assignments=tuple(
            f"{name}.training_steps={args.steps}" for name in args.methods if "harmony" in name
        ),
    )


def time_runs(
    registry: Registry, options: RunOptions, home: Path, repeats: int
) -> tuple[int, dict[str, list[float]]]:
    """Time the bare script, a run that computes, a run from the store, and planning.

    Returns
    -------
    tuple
        The number of cells, and the seconds of every repeat by name.
    """
    selection = select(registry, options.request)
    compute(registry, selection, home, options)  # prepares the cohort and stores the fits
    plan = make_plan(registry, selection, home, Silent())
    runner = Runner(registry=registry, home=home, device=CPU, progress=Silent())
    methods = {planned.cell.method: runner.fitted(planned) for planned in plan.cells}
    seconds: dict[str, list[float]] = {"bare": [], "computed": [], "stored": [], "planning": []}
    for _ in range(repeats):
        with timed(seconds["bare"]):
            bare(plan, methods)
        with home_without_results(home) as copy:
            for name in ("computed", "stored"):
                with timed(seconds[name]):
                    compute(Registry.discover(), selection, copy, options)
        with timed(seconds["planning"]):
            make_plan(registry, selection, home, Silent())
            Durations.read(home)
    return len(plan.cells), seconds


def time_command(*words: str, repeats: int) -> list[float]:
    """Return the seconds that a command line takes, for every repeat."""
    seconds: list[float] = []
    command = [Path(sys.executable).with_name("harmbench"), *words]
    for _ in range(repeats):
        with timed(seconds):
            subprocess.run(command, check=True, capture_output=True)
    return seconds


def run_command(args: argparse.Namespace) -> list[str]:
    """Return the command line that requests the cells that are timed."""
    wanted = request(args)
    words = ["run", "--cohort", args.cohort]
    for option, values in (
        ("--method", wanted.methods),
        ("--task", wanted.tasks),
        ("--set", wanted.assignments),
    ):
        words += [word for value in values for word in (option, value)]
    return words


def print_table(cells: int, repeats: int, seconds: dict[str, list[float]]) -> None:
    """Print the medians, and the overhead of a run relative to the bare script."""
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    overhead = statistics.median(
        (run - script) / script
        for run, script in zip(seconds["computed"], seconds["bare"], strict=True)
    )
    print(f"{cells} cells, {torch.get_num_threads()} threads, medians of {repeats}")
    print(f"bare script             {medians['bare']:8.2f} s")
    print(f"run                     {medians['computed']:8.2f} s   {100 * overhead:+.1f} %")
    print(f"  including planning    {medians['planning']:8.2f} s")
    print(
        f"run from the store      {medians['stored']:8.2f} s   "
        f"{medians['stored'] / cells:.3f} s per cell"
    )
    print(f"`harmbench list methods` {medians['list']:7.2f} s")
    print(f"`harmbench run`, stored {medians['command']:8.2f} s")


def main() -> None:
    """Print the table."""
    args = arguments()
    with tempfile.TemporaryDirectory(prefix="harmbench-overhead-") as folder:
        home = Path(folder)
        os.environ["HARMBENCH_HOME"] = str(home)
        options = RunOptions(request=request(args), device=CPU.type)
        cells, seconds = time_runs(Registry.discover(), options, home, args.repeats)
        seconds["list"] = time_command("list", "methods", repeats=args.repeats)
        seconds["command"] = time_command(*run_command(args), repeats=args.repeats)
    print_table(cells, args.repeats, seconds)


if __name__ == "__main__":
    main()
