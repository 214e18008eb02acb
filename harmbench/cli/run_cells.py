"""Print the progress, the results and the forecast of cells, for all commands that run cells."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from rich.console import Console

from harmbench.api import computation
from harmbench.api.cell_lines import skip_lines
from harmbench.cli.wording import counted
from harmbench.contracts.cell import Status
from harmbench.execution.plan.durations import duration
from harmbench.execution.plan.selection import Selection
from harmbench.execution.schedule.executors.options import ExecutorOptions
from harmbench.execution.schedule.invocation import Invocation
from harmbench.execution.schedule.run import Forecast, ForecastJob, RunSummary, forecast
from harmbench.execution.schedule.run_options import RunOptions
from harmbench.plugins import Registry
from harmbench.util.progress_bars import shown


def compute(
    registry: Registry,
    selection: Selection,
    home: Path,
    options: RunOptions,
    executor_options: ExecutorOptions | None = None,
    invocation: Invocation | None = None,
) -> RunSummary:
    """Run all cells as `harmbench.api.computation.compute` does, with progress on the console."""
    with shown(Console(stderr=True)) as progress:
        return computation.compute(
            registry, selection, home, options, progress, executor_options, invocation
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
    skipped = [
        (job.cell, job.reason)
        for job in expected.cells
        if job.cell is not None and job.status is Status.SKIPPED
    ]
    for job in (*expected.fits, *expected.cells):
        if job.status is not Status.SKIPPED:
            out.print(f"  {job.status.value:8} {job.title}{_detail(job)}")
    for _, line in skip_lines(skipped):
        out.print(f"  {line}")
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
