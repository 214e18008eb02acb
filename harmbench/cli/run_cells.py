"""Print the progress, the results and the forecast of cells, for all commands that run cells."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from rich.console import Console

from harmbench.cli.progress_bars import shown
from harmbench.cli.wording import counted
from harmbench.contracts.cell import Cell, CellResult, Status
from harmbench.execution.plan.durations import duration
from harmbench.execution.plan.selection import Selection
from harmbench.execution.schedule.executors.options import ExecutorOptions
from harmbench.execution.schedule.invocation import Invocation
from harmbench.execution.schedule.run import Forecast, ForecastJob, RunSummary, forecast
from harmbench.execution.schedule.run_options import RunOptions
from harmbench.plugins import Registry
from harmbench.tracking.recorded_run import run_and_record

_DETAILS = 3  # numbers in the line of a cell without a headline number


def compute(
    registry: Registry,
    selection: Selection,
    home: Path,
    options: RunOptions,
    executor_options: ExecutorOptions | None = None,
    invocation: Invocation | None = None,
) -> RunSummary:
    """Run all cells, print a line for each, record them, and mirror the records in MLflow.

    Parameters
    ----------
    registry, selection, home
        Plugins, the selected cells, and the folder of the stores.
    options, executor_options
        How cells are computed; in this process by default.
    invocation
        The interrupted run to continue; a new one if None.

    Raises
    ------
    UserError
        If the device or the executor is not available.
    """
    with shown(Console(stderr=True)) as progress:
        return run_and_record(
            registry,
            selection,
            home,
            options,
            executor_options or ExecutorOptions(),
            progress,
            invocation=invocation,
            on_cell=lambda number, total, cell, result: progress.log(
                f"[{number}/{total}] {_line(cell, result)}"
            ),
        )


def summary_line(summary: RunSummary) -> str:
    """Return the numbers of cells by status, of fits and of records."""
    counts = Counter(result.status for _, result in summary.results)
    by_status = ", ".join(f"{counts[status]} {status}" for status in Status if counts[status])
    waiting = f"; {summary.waiting} waiting for MLflow (`harmbench sync`)"
    return (
        f"{counted(len(summary.plan.cells), 'cell')}: {by_status}; "
        f"{counted(summary.fits, 'fit')} made; {summary.recorded} newly recorded in MLflow"
        + (waiting if summary.waiting else "")
    )


def print_forecast(
    registry: Registry, selection: Selection, home: Path, options: RunOptions
) -> None:
    """Print what a run would compute, and how long it would take."""
    out = Console(soft_wrap=True, highlight=False, markup=False)
    with shown(Console(stderr=True)) as progress:
        expected = forecast(registry, selection, home, options, progress)
    if not expected.prepared:
        request = selection.request
        out.print(
            f"{counted(len(expected.cells), 'cell')} to do, after preparing the cohort "
            f"'{request.cohort.name}' ({request.preset} grid):"
        )
    for job in (*expected.fits, *expected.cells):
        out.print(f"  {job.status.value:8} {job.title}{_detail(job)}")
    if expected.prepared:
        out.print(_total(expected))


def _detail(job: ForecastJob) -> str:
    if job.seconds is not None:
        return f" (about {duration(job.seconds)})"
    return f": {job.reason}" if job.reason else ""


def _total(expected: Forecast) -> str:
    pending = expected.pending
    cells = len(pending) - len(expected.fits)
    line = f"{counted(len(expected.fits), 'fit')} and {counted(cells, 'cell')} to do"
    seconds = [job.seconds for job in pending if job.seconds is not None]
    if not seconds:
        return line
    unknown = len(pending) - len(seconds)
    rest = f", and {unknown} of unknown duration" if unknown else ""
    return f"{line}: about {duration(sum(seconds))} in sequence{rest}"


def _line(cell: Cell, result: CellResult) -> str:
    """Return one line with the status and the headline scores of a cell."""
    line = f"{result.status.value:8} {cell.title}"
    if result.reason:
        return f"{line}: {result.reason}"
    headline = [name for name in result.facts["headline"] if name in result.estimates]
    # Without truth, there is no headline number: show details instead.
    names = headline or list(result.estimates)[:_DETAILS]
    scores = [f"{name} {result.estimates[name].mean:.4g}" for name in names]
    flagged, scored = len(result.facts.get("flags", ())), result.facts["test_scans"]
    notes = [f"{flagged} of {scored} scans flagged"] if flagged else []
    if result.missing:
        notes.append(f"{len(result.missing)} of {scored + len(result.missing)} scans failed")
    return f"{line}: {', '.join(scores)}" + (f" ({'; '.join(notes)})" if notes else "")
