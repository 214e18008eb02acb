"""What every command that runs cells does: show what would be run, or run it and tell."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from harmbench.cli.progress import shown
from harmbench.plugins import Plugin, Registry
from harmbench.run.cell import Cell, CellResult, Status
from harmbench.run.plan import Job, Plan, Selection, make_plan
from harmbench.run.runner import Runner
from harmbench.tracking import MlflowRecorder, command_line

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Outcome:
    """What became of a plan.

    Attributes
    ----------
    plan, results
        The plan, and every job of it with its result.
    recorded
        Cells that MLflow did not hold before.
    """

    plan: Plan
    results: list[tuple[Job, CellResult]]
    recorded: int

    @property
    def summary(self) -> str:
        """How many cells ended how."""
        counts = Counter(result.status.value for _, result in self.results)
        told = ", ".join(f"{count} {status}" for status, count in counts.items())
        return f"{len(self.plan.jobs)} cells: {told}; {self.recorded} newly recorded in MLflow"

    @property
    def code(self) -> int:
        """Exit code: 1 if a cell failed or diverged."""
        return int(any(_bad(result) for _, result in self.results))


def _bad(result: CellResult) -> bool:
    return result.status in (Status.FAILED, Status.DIVERGED)


def compute(registry: Registry, selection: Selection, home: Path, device: torch.device) -> Outcome:
    """Run all cells, tell each as it ends, and record them in MLflow."""
    recorder = MlflowRecorder(command_line())
    with shown(Console(stderr=True)) as progress:
        registry.on_error = lambda line: progress.log(f"warning: {line}")
        plan = make_plan(registry, selection, home, progress)
        registry.add(Plugin("mlflow", "harmbench", "", "built in"), recorder)
        results = []
        try:
            for job, result in Runner(registry, home, device, progress).run(plan):
                results.append((job, result))
                progress.log(_line(job.cell, result))
        finally:
            whole = len(results) == len(plan.jobs)
            recorder.close(failed=not whole or any(_bad(result) for _, result in results))
    return Outcome(plan, results, recorder.recorded)


def foresee(registry: Registry, selection: Selection, home: Path, device: torch.device) -> None:
    """Print what would be run; a cohort that is not prepared yet stays so."""
    request = selection.request
    out = Console(soft_wrap=True, highlight=False, markup=False)
    if not selection.is_prepared(home):
        titles = [
            f"{variant.label} on {task}, seed {seed}"
            for seed in request.seeds
            for task in selection.tasks
            for variant in selection.variants
        ]
        out.print(
            f"{len(titles)} cells to do, after preparing the cohort "
            f"'{request.cohort}' ({request.preset} grid):"
        )
        for title in titles:
            out.print(f"  {Status.PLANNED.value:8} {title}")
        return
    with shown(Console(stderr=True)) as progress:
        registry.on_error = lambda line: progress.log(f"warning: {line}")
        plan = make_plan(registry, selection, home, progress)
        runner = Runner(registry, home, device, progress)
        for job in plan.jobs:
            status, reason = runner.planned(job), job.cell.skip or job.fault
            out.print(f"  {status.value:8} {job.cell.title}" + (f": {reason}" if reason else ""))


def _line(cell: Cell, result: CellResult) -> str:
    """Say in a line how a cell ended."""
    line = f"{result.status.value:8} {cell.title}"
    if result.reason:
        return f"{line}: {result.reason}"
    shown = [name for name in ("psnr", "ssim", "wasserstein") if name in result.estimates]
    numbers = ", ".join(f"{name} {result.estimates[name].mean:.4g}" for name in shown)
    origin = ""
    if result.status is Status.CACHED:
        origin = " (cell and fit from the store)" if cell.fit_key else " (cell from the store)"
    elif cell.fit_key:
        seconds = result.facts["fit_seconds"]
        origin = " (fit from the store)" if result.fit_cached else f" (fitted in {seconds:.0f} s)"
    return f"{line}: {numbers}{origin}"
