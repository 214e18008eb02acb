"""What the harness itself costs, against the same calls made by a bare script.

Both take turns in one process, on the same cohort and the same stored fits, so that a ratio
tells of the harness and not of what else the machine was doing::

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
from pathlib import Path

import pandas as pd
import torch

from harmbench.cli.cells import compute
from harmbench.figures import Keyframes
from harmbench.plugins import Registry
from harmbench.progress import Silent
from harmbench.run.apply import harmonized_by
from harmbench.run.costs import Costs
from harmbench.run.order import Order
from harmbench.run.plan import Plan, Request, make_plan, select
from harmbench.run.runner import Runner

METHODS = ("histogram", "blindharmony-ml")
TASKS = ("sim-exp", "sim-bias", "domain2")


def bare(plan: Plan, methods: dict[str, torch.nn.Module]) -> None:
    """Harmonise, score and draw what the matrix does, and nothing else."""
    for job in plan.jobs:
        frames = []
        keyframes = Keyframes(job.cell)
        for place in range(len(job.data.test)):
            source = job.data.test.load([place])
            truth = None if job.data.references is None else job.data.references.load([place])
            harmonized = harmonized_by(
                methods[job.cell.method], source, truth, 0, torch.device("cpu")
            )
            frames.append(job.task.score(harmonized, truth, job.data, plan.metrics))
            keyframes.add(source, harmonized, truth)
        scores = pd.concat(frames, ignore_index=True)
        with tempfile.TemporaryFile() as picture:
            keyframes.figure(scores, job.data).savefig(picture, dpi=110)


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
        tuple(args.methods), tuple(args.tasks), args.cohort,
        assignments=tuple(
            f"{name}.training_steps={args.steps}" for name in args.methods if "harmony" in name
        ),
    )  # fmt: skip
    selection = select(registry, request)
    order = Order(request, device="cpu")
    compute(registry, selection, home, order)  # prepares, fits, and makes the MLflow store
    plan = make_plan(registry, selection, home, Silent())
    runner = Runner(registry, home, torch.device("cpu"), Silent())
    methods = {job.cell.method: runner.fitted(job) for job in plan.jobs}
    seconds: dict[str, list[float]] = {"bare": [], "matrix": [], "stored": [], "planning": []}
    for _ in range(args.repeats):
        began = time.perf_counter()
        bare(plan, methods)
        seconds["bare"].append(time.perf_counter() - began)
        shutil.rmtree(home / "cells")
        (home / "mlflow.db").unlink()
        for name in ("matrix", "stored"):
            began = time.perf_counter()
            compute(Registry.discover(), selection, home, order)
            seconds[name].append(time.perf_counter() - began)
        began = time.perf_counter()
        make_plan(registry, selection, home, Silent())
        Costs.read(home)
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
    cells = len(plan.jobs)
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
