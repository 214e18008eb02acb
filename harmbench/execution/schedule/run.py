"""Run the cells of a selection, or forecast a run without computing anything."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harmbench.contracts.cell import Cell, CellResult, Status
from harmbench.execution.compute.runner import Runner
from harmbench.execution.plan.durations import Durations
from harmbench.execution.plan.plan import Plan, PlannedCell, make_plan
from harmbench.execution.plan.selection import Selection
from harmbench.execution.schedule.executors.local import Lanes
from harmbench.execution.schedule.executors.options import ExecutorOptions, local_options
from harmbench.execution.schedule.invocation import Invocation
from harmbench.execution.schedule.run_options import RunOptions
from harmbench.execution.schedule.scheduler import Scheduler
from harmbench.execution.schedule.session import Session, prepare
from harmbench.plugins import Registry
from harmbench.store.provenance import command_line
from harmbench.store.results import ResultsStore
from harmbench.util.progress import Progress


class RunProgress(Progress, Lanes, Protocol):
    """Progress that can also show several workers."""


# Called when a cell ends, with its number among all cells, counted from 1.
CellCallback = Callable[[int, int, Cell, CellResult], None]


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """Results of a run.

    Attributes
    ----------
    plan, results
        The plan, and its cells with their results in the order in which they ended.
    fits
        Number of new fits.
    recorded, waiting
        Numbers of cells newly recorded in MLflow, and of cells that could not be recorded yet.
    """

    plan: Plan
    results: list[tuple[PlannedCell, CellResult]]
    fits: int
    recorded: int = 0
    waiting: int = 0

    @property
    def failed(self) -> bool:
        """Whether a cell, or a command on a test scan, failed or diverged."""
        bad = (Status.FAILED, Status.DIVERGED)
        return any(result.status in bad or result.missing for _, result in self.results)


def run_cells(
    registry: Registry,
    selection: Selection,
    home: Path,
    options: RunOptions,
    executor_options: ExecutorOptions,
    progress: RunProgress,
    *,
    invocation: Invocation | None = None,
    on_cell: CellCallback = lambda number, total, cell, result: None,
) -> RunSummary:
    """Run all cells of a selection, and record each in the results store when it ends.

    Plugins receive each recorded result by the hook `after_cell`.

    Parameters
    ----------
    registry, selection, home
        Plugins, the selected cells, and the folder of the stores.
    options, executor_options
        How cells are computed, and by which executor.
    progress
        Shows how far the run is.
    invocation
        The interrupted run to continue, held by `last_unfinished`; a new one if None.
    on_cell
        Called after the plugins when a cell ends.

    Raises
    ------
    UserError
        If the device or the executor is not available.
    """
    device = prepare(local_options(executor_options, options))
    plan = make_plan(registry, selection, home, progress)
    begun = (
        Invocation.begin(home, options, executor_options.to_json())
        if invocation is None
        else contextlib.nullcontext(invocation)
    )
    with begun as running:
        runner = Runner(registry=registry, home=home, device=device, progress=progress)
        scheduler = Scheduler(plan, runner, Durations.read(home))
        session = Session(plan, runner, scheduler.jobs, running.logs)
        results = ResultsStore(home / "results")
        with (
            executor_options.open(running, session, progress) as executor,
            results.writer(command_line()) as writer,
        ):
            for number, (planned, ended) in enumerate(scheduler.run(executor, progress), start=1):
                result = writer.append(planned.cell, ended)
                registry.call("after_cell", cell=planned.cell, result=result)
                on_cell(number, len(plan.cells), planned.cell, result)
        running.end()
    return RunSummary(plan=plan, results=scheduler.results, fits=len(scheduler.fits_made))


@dataclass(frozen=True, kw_only=True)
class ForecastJob:
    """A fit or a cell, and what a run would do with it.

    Attributes
    ----------
    title
        Method, task and seed.
    status
        `PLANNED` if it would be computed, else its status after the run.
    reason
        Why it would be skipped or fail, or "".
    seconds
        Estimated duration; None if it is not computed or nothing similar was before.
    cell
        The cell; None for a fit, and where the cohort is not prepared.
    """

    title: str
    status: Status = Status.PLANNED
    reason: str = ""
    seconds: float | None = None
    cell: Cell | None = None


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What a run would compute; `prepared` is False if the cohort has to be prepared first."""

    prepared: bool
    fits: tuple[ForecastJob, ...]
    cells: tuple[ForecastJob, ...]

    @property
    def pending(self) -> tuple[ForecastJob, ...]:
        """Fits and cells that would be computed."""
        return tuple(job for job in (*self.fits, *self.cells) if job.status is Status.PLANNED)


def forecast(
    registry: Registry, selection: Selection, home: Path, options: RunOptions, progress: Progress
) -> Forecast:
    """Forecast a run; a cohort that is not prepared stays unprepared."""
    if not selection.is_prepared(home):
        request = selection.request
        folds = [f", fold {fold}" for fold in range(1, request.folds + 1)] or [""]
        cells = [
            ForecastJob(title=f"{variant.label} on {task}, seed {seed}{fold}")
            for seed in request.seeds
            for fold in folds
            for task in selection.tasks
            for variant in selection.variants
        ]
        return Forecast(prepared=False, fits=(), cells=tuple(cells))
    plan = make_plan(registry, selection, home, progress)
    runner = Runner(registry=registry, home=home, device=prepare(options), progress=progress)
    scheduler = Scheduler(plan, runner, Durations.read(home))
    cells = []
    for planned in plan.cells:
        title, result = planned.cell.title, scheduler.foreseen.get(planned.cell.key)
        if result is None:
            seconds = scheduler.jobs[planned.cell.key].seconds
            cells.append(ForecastJob(title=title, seconds=seconds))
        else:
            cells.append(
                ForecastJob(
                    title=title,
                    status=result.status,
                    reason=result.reason or "",
                    cell=planned.cell,
                )
            )
    fits = [job for job in scheduler.jobs.values() if job.is_fit]
    return Forecast(
        prepared=True,
        fits=tuple(ForecastJob(title=fit.title, seconds=fit.seconds) for fit in fits),
        cells=tuple(cells),
    )
