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
import json
import math
import os
import resource
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
from typing import NamedTuple

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


class Spent(NamedTuple):
    """CPU seconds of this process and its children, and seconds of wall time."""

    cpu: float
    wall: float


def clocks() -> Spent:
    """Return what was spent so far."""
    uses = [resource.getrusage(of) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return Spent(sum(use.ru_utime + use.ru_stime for use in uses), time.perf_counter())


@contextmanager
def timed(spent: list[Spent]) -> Iterator[None]:
    """Append what the block spends."""
    start = clocks()
    yield
    end = clocks()
    spent.append(Spent(end.cpu - start.cpu, end.wall - start.wall))


def repeat_checks(home: Path) -> float:
    """Return the seconds in which the cells of a home were harmonised a second time."""
    contents = [json.loads(path.read_text()) for path in home.glob("cells/*/result.json")]
    return sum(content["facts"]["repeat_check_seconds"] for content in contents)


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
) -> tuple[int, dict[str, list[Spent]]]:
    """Time the bare script, a run that computes, a run from the store, and planning.

    Returns
    -------
    tuple
        The number of cells, and what every repeat spent by name.
    """
    selection = select(registry, options.request)
    compute(registry, selection, home, options)  # prepares the cohort and stores the fits
    plan = make_plan(registry, selection, home, Silent())
    runner = Runner(registry=registry, home=home, device=CPU, progress=Silent())
    methods = {planned.cell.method: runner.fitted(planned) for planned in plan.cells}
    names = ("bare", "computed", "checks", "stored", "planning")
    spent: dict[str, list[Spent]] = {name: [] for name in names}
    for _ in range(repeats):
        with timed(spent["bare"]):
            bare(plan, methods)
        with home_without_results(home) as copy:
            for name in ("computed", "stored"):
                with timed(spent[name]):
                    compute(Registry.discover(), selection, copy, options)
            checks = repeat_checks(copy)
            spent["checks"].append(Spent(math.nan, checks))
        with timed(spent["planning"]):
            make_plan(registry, selection, home, Silent())
            Durations.read(home)
    return len(plan.cells), spent


def time_command(*words: str, repeats: int) -> list[Spent]:
    """Return what a command line spends, for every repeat."""
    spent: list[Spent] = []
    command = [Path(sys.executable).with_name("harmbench"), *words]
    for _ in range(repeats):
        with timed(spent):
            subprocess.run(command, check=True, capture_output=True)
    return spent


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


def print_table(cells: int, repeats: int, spent: dict[str, list[Spent]]) -> None:
    """Print the medians, and the overhead of a run relative to the bare script."""
    load = os.getloadavg()[0]
    print(
        f"{cells} cells, {torch.get_num_threads()} threads, medians of {repeats}, load {load:.1f}"
    )
    print(f"{'':24} {'CPU s':>8} {'':8} {'wall s':>8}")
    titles = {
        "bare": "bare script",
        "computed": "run",
        "checks": "  the repeat checks",  # cells record their wall time
        "planning": "  planning",
        "stored": "run from the store",
        "list": "`harmbench list methods`",
        "command": "`harmbench run`, stored",
    }
    for name, title in titles.items():
        columns = []
        for clock in range(2):
            values = [each[clock] for each in spent[name]]
            median, more = f"{statistics.median(values):.2f}".replace("nan", ""), ""
            if name == "computed":
                scripts = [each[clock] for each in spent["bare"]]
                ratios = [run / script for run, script in zip(values, scripts, strict=True)]
                more = f"{statistics.median(ratios) - 1:+.1%}"
            columns.append(f"{median:>8} {more:>8}")
        print(f"{title:24} {' '.join(columns)}".rstrip())


def main() -> None:
    """Print the table."""
    args = arguments()
    with tempfile.TemporaryDirectory(prefix="harmbench-overhead-") as folder:
        home = Path(folder)
        os.environ["HARMBENCH_HOME"] = str(home)
        options = RunOptions(request=request(args), device=CPU.type)
        cells, spent = time_runs(Registry.discover(), options, home, args.repeats)
        spent["list"] = time_command("list", "methods", repeats=args.repeats)
        spent["command"] = time_command(*run_command(args), repeats=args.repeats)
    print_table(cells, args.repeats, spent)


if __name__ == "__main__":
    main()
