"""What every command that runs cells does: show what would be run, or run it and tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from harmbench.cli.progress_bars import Bars, Lines, shown
from harmbench.contracts.cell import Cell, CellResult, Status
from harmbench.execution.compute.runner import Runner
from harmbench.execution.plan.durations import Durations, duration
from harmbench.execution.plan.plan import Plan, PlannedCell, make_plan
from harmbench.execution.plan.selection import Selection
from harmbench.execution.schedule.executors.options import ExecutorOptions, local_options
from harmbench.execution.schedule.invocation import Invocation
from harmbench.execution.schedule.jobs import Job
from harmbench.execution.schedule.run_options import RunOptions
from harmbench.execution.schedule.scheduler import Scheduler
from harmbench.execution.schedule.session import Session, prepare
from harmbench.plugins import Plugin, Registry
from harmbench.tracking.outbox import Outbox
from harmbench.tracking.recorder import MlflowRecorder, command_line


@dataclass(frozen=True)
class RunSummary:
    """What became of a plan.

    Attributes
    ----------
    plan, results
        The plan, and every job of it with its result.
    fits
        How many fits were made.
    recorded, waiting
        Cells that MLflow did not hold before, and those that it could not take.
    """

    plan: Plan
    results: list[tuple[PlannedCell, CellResult]]
    fits: int
    recorded: int
    waiting: int

    @property
    def summary(self) -> str:
        """How many cells ended how."""
        counts = Counter(result.status.value for _, result in self.results)
        told = ", ".join(f"{counts[s.value]} {s.value}" for s in Status if counts[s.value])
        fits = f"{self.fits} fit{'' if self.fits == 1 else 's'} made"
        told = f"{len(self.plan.cells)} cells: {told}; {fits}"
        line = f"{told}; {self.recorded} newly recorded in MLflow"
        if self.waiting:
            line += f", {self.waiting} wait for it (`harmbench sync`)"
        return line

    @property
    def code(self) -> int:
        """Exit code: 1 if a cell failed or diverged."""
        return int(any(_bad(result) for _, result in self.results))


def _bad(result: CellResult) -> bool:
    return result.status in (Status.FAILED, Status.DIVERGED)


def compute(
    registry: Registry,
    selection: Selection,
    home: Path,
    order: RunOptions,
    choice: ExecutorOptions | None = None,
    invocation: Invocation | None = None,
) -> RunSummary:
    """Run all cells, tell each as it ends, and record them in MLflow.

    Parameters
    ----------
    registry, selection, home
        What is asked for, and where things are kept.
    order, choice
        How it is computed; in this process by default.
    invocation
        One that is gone on with; a new one if None.

    Raises
    ------
    UserError
        If there is no such device, or no such executor here.
    """
    choice = choice or ExecutorOptions()
    device = prepare(local_options(choice, order))
    recorder = MlflowRecorder(command_line())
    with shown(Console(stderr=True)) as progress:
        registry.on_error = lambda line: progress.log(f"warning: {line}")
        outbox = Outbox(home, recorder, lambda line: progress.log(f"warning: {line}"))
        plan = make_plan(registry, selection, home, progress)
        invocation = invocation or Invocation.begin(home, order, choice.to_json())
        registry.add(Plugin("mlflow", "harmbench", "", "built in"), outbox)
        runner = Runner(registry, home, device, progress)
        scheduler = Scheduler(plan, runner, Durations.read(home))
        try:
            with invocation.running():
                outbox.send_all()
                _run(scheduler, choice, invocation, Session(plan, runner, scheduler.jobs,
                     invocation.logs), registry, progress)  # fmt: skip
                invocation.end()
        finally:
            whole = len(scheduler.results) == len(plan.cells)
            bad = not whole or any(_bad(result) for _, result in scheduler.results)
            recorder.close(failed=bad)
    return RunSummary(
        plan, scheduler.results, len(scheduler.fits_made), recorder.recorded, outbox.waiting()
    )


def _run(
    scheduler: Scheduler,
    choice: ExecutorOptions,
    invocation: Invocation,
    session: Session,
    registry: Registry,
    progress: Bars | Lines,
) -> None:
    count, total = 0, len(scheduler.plan.cells)
    with choice.open(invocation, session, progress) as executor:
        for planned, result in scheduler.run(executor, progress):
            count += 1
            registry.call("after_cell", cell=planned.cell, result=result)
            progress.log(f"[{count}/{total}] {_line(planned.cell, result)}")


def foresee(registry: Registry, selection: Selection, home: Path, order: RunOptions) -> None:
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
        runner = Runner(registry, home, prepare(order), progress)
        costs = Durations.read(home)
        scheduler = Scheduler(plan, runner, costs)
        for job in scheduler.jobs.values():
            if job.is_fit:
                out.print(f"  {Status.PLANNED.value:8} {job.title}{_estimate(job)}")
        for planned in plan.cells:
            foreseen = runner.foreseen(planned)
            if foreseen is None:
                estimate = _estimate(scheduler.jobs[planned.cell.key])
                out.print(f"  {Status.PLANNED.value:8} {planned.cell.title}{estimate}")
            else:
                reason = f": {foreseen.reason}" if foreseen.reason else ""
                out.print(f"  {foreseen.status.value:8} {planned.cell.title}{reason}")
        out.print(_total(scheduler.jobs.values()))


def _estimate(job: Job) -> str:
    return "" if job.seconds is None else f" (about {duration(job.seconds)})"


def _total(all_jobs: Collection[Job]) -> str:
    known = [job.seconds for job in all_jobs if job.seconds is not None]
    fits = sum(job.is_fit for job in all_jobs)
    line = f"{fits} fits and {len(all_jobs) - fits} cells to do"
    if not known:
        return line
    unknown = len(all_jobs) - len(known)
    more = f", and {unknown} of which nothing is known yet" if unknown else ""
    return f"{line}: about {duration(sum(known))} one after the other{more}"


def _line(cell: Cell, result: CellResult) -> str:
    """Say in a line how a cell ended."""
    line = f"{result.status.value:8} {cell.title}"
    if result.reason:
        return f"{line}: {result.reason}"
    names = result.facts.get("headline") or ("psnr", "ssim", "wasserstein")
    shown_names = [name for name in names if name in result.estimates]
    flagged = len(result.facts.get("flags", ()))
    return (
        f"{line}: "
        + ", ".join(f"{name} {result.estimates[name].mean:.4g}" for name in shown_names)
        + (f" ({flagged} of {result.facts['test_scans']} scans flagged)" if flagged else "")
    )
