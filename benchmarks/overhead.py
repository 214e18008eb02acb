"""What the harness itself costs, against the same calls made by a bare script.

Both take turns in one process, on the same cohort and the same stored fits, so that a ratio
measures the harness and not what else the machine was doing::

    python benchmarks/overhead.py

Measured are a matrix that is computed (methods x tasks, with scores, figures, stores and
MLflow), the same matrix answered from the store, and the start of the command line.
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

METHODS = ("histogram", "blindharmony-ml")
TASKS = ("sim-exp", "sim-bias", "domain2")


def bare(plan: Plan, methods: dict[str, torch.nn.Module]) -> None:
    """Harmonise, score and draw what the matrix does, and nothing else."""
    for job in plan.cells:
        frames = []
        keyframes = Keyframes(job.cell)
        slices = Slices()
        for place in range(len(job.data.test)):
            source = job.data.test.load([place])
            truth = None if job.data.references is None else job.data.references.load([place])
            harmonized = harmonized_by(
                methods[job.cell.method], source, truth, 0, torch.device("cpu")
            )
            frames.append(job.task.score(harmonized, truth, job.data, plan.metrics))
            keyframes.add(source, harmonized, truth)
            slices.add(source, harmonized, truth)
        scores = pd.concat(frames, ignore_index=True)
        with tempfile.TemporaryFile() as picture:
            figure = keyframes.figure(scores, job.data, job.task.headline, lambda scans: scans)
            figure.savefig(picture, dpi=110)
        with tempfile.TemporaryDirectory() as folder:
            write_slices(Path(folder) / "slices.npz", slices.arrays(job.data.target))


@contextmanager
def another(home: Path) -> Iterator[Path]:
    """Make a home with the same cohorts and fits, no results, and an MLflow store of its own."""
    fresh = Path(tempfile.mkdtemp(prefix="harmbench-overhead-"))
    for name in ("cohorts", "fits", "bounds"):
        if (home / name).exists():
            (fresh / name).symlink_to(home / name)
    os.environ["HARMBENCH_HOME"] = str(fresh)
    connect()  # laying out the store's tables is no part of a matrix
    try:
        yield fresh
    finally:
        os.environ["HARMBENCH_HOME"] = str(home)
        shutil.rmtree(fresh)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cohort", default="phantom:12", help="as of `harmbench run`")
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--tasks", nargs="+", default=TASKS)
    parser.add_argument("--steps", type=int, default=20, help="training steps of the flow")
    args = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="harmbench-overhead-"))
    os.environ["HARMBENCH_HOME"] = str(home)
    registry = Registry.discover()
    request = Request(
        methods=tuple(args.methods), tasks=tuple(args.tasks), cohort=CohortRequest(args.cohort),
        assignments=tuple(
            f"{name}.training_steps={args.steps}" for name in args.methods if "harmony" in name
        ),
    )  # fmt: skip
    selection = select(registry, request)
    order = RunOptions(request=request, device="cpu")
    compute(registry, selection, home, order)  # prepares, fits, and makes the MLflow store
    plan = make_plan(registry, selection, home, Silent())
    runner = Runner(registry=registry, home=home, device=torch.device("cpu"), progress=Silent())
    methods = {job.cell.method: runner.fitted(job) for job in plan.cells}
    seconds: dict[str, list[float]] = {"bare": [], "matrix": [], "stored": [], "planning": []}
    for _ in range(args.repeats):
        began = time.perf_counter()
        bare(plan, methods)
        seconds["bare"].append(time.perf_counter() - began)
        with another(home) as fresh:
            for name in ("matrix", "stored"):
                began = time.perf_counter()
                compute(Registry.discover(), selection, fresh, order)
                seconds[name].append(time.perf_counter() - began)
        began = time.perf_counter()
        make_plan(registry, selection, home, Silent())
        Durations.read(home)
        seconds["planning"].append(time.perf_counter() - began)
    start = []
    for arguments in (["--help"], ["list", "methods"]):
        for _ in range(args.repeats):
            began = time.perf_counter()
            subprocess.run(
                [Path(sys.executable).with_name("harmbench"), *arguments],
                check=True, stdout=subprocess.DEVNULL,
            )  # fmt: skip
            start.append(time.perf_counter() - began)
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    cells = len(plan.cells)
    over = statistics.median(
        (matrix - alone) / alone
        for matrix, alone in zip(seconds["matrix"], seconds["bare"], strict=True)
    )
    print(f"{cells} cells, {torch.get_num_threads()} threads, medians of {args.repeats}")
    print(f"bare script             {middle['bare']:8.2f} s")
    print(f"matrix                  {middle['matrix']:8.2f} s   {100 * over:+.1f} %")
    print(f"  of which planning     {middle['planning']:8.2f} s")
    print(
        f"answered from the store {middle['stored']:8.2f} s   {middle['stored'] / cells:.3f} a cell"
    )
    print(f"start of the command    {statistics.median(start):8.2f} s")
    shutil.rmtree(home)


if __name__ == "__main__":
    main()
