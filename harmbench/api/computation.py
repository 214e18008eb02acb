"""Compute the cells of a selection, and print a line for each; for all commands and functions."""

from __future__ import annotations

from pathlib import Path

from harmbench.api.cell_lines import CellLines
from harmbench.execution.plan.selection import Selection
from harmbench.execution.schedule.executors.options import ExecutorOptions
from harmbench.execution.schedule.invocation import Invocation
from harmbench.execution.schedule.run import RunProgress, RunSummary
from harmbench.execution.schedule.run_options import RunOptions
from harmbench.plugins import Registry
from harmbench.tracking.recorded_run import run_and_record


def compute(
    registry: Registry,
    selection: Selection,
    home: Path,
    options: RunOptions,
    progress: RunProgress,
    executor_options: ExecutorOptions | None = None,
    invocation: Invocation | None = None,
) -> RunSummary:
    """Run all cells, log their lines, record them, and mirror the records in MLflow.

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
    lines = CellLines(progress)
    summary = run_and_record(
        registry,
        selection,
        home,
        options,
        executor_options or ExecutorOptions(),
        progress,
        invocation=invocation,
        on_cell=lines.add,
    )
    lines.end()
    return summary
