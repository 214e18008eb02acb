"""Compute the cells of a selection, and print a line for each; for all commands and functions."""

from __future__ import annotations

from pathlib import Path

from harmbench.contracts.cell import Cell, CellResult
from harmbench.execution.plan.selection import Selection
from harmbench.execution.schedule.executors.options import ExecutorOptions
from harmbench.execution.schedule.invocation import Invocation
from harmbench.execution.schedule.run import RunProgress, RunSummary
from harmbench.execution.schedule.run_options import RunOptions
from harmbench.plugins import Registry
from harmbench.tracking.recorded_run import run_and_record

_DETAILS = 3  # numbers in the line of a cell without a headline number


def compute(
    registry: Registry,
    selection: Selection,
    home: Path,
    options: RunOptions,
    progress: RunProgress,
    executor_options: ExecutorOptions | None = None,
    invocation: Invocation | None = None,
) -> RunSummary:
    """Run all cells, log a line for each, record them, and mirror the records in MLflow.

    Parameters
    ----------
    registry, selection, home
        Plugins, the selected cells, and the folder of the stores.
    options, executor_options
        How cells are computed; in this process by default.
    progress
        Shows how far the run is.
    invocation
        The interrupted run to continue; a new one if None.

    Raises
    ------
    UserError
        If the device or the executor is not available.
    """
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
