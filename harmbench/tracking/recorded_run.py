"""Run cells, record each when it ends, and mirror the records in MLflow."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from harmbench.execution.plan.selection import Selection
from harmbench.execution.schedule.executors.options import ExecutorOptions
from harmbench.execution.schedule.invocation import Invocation
from harmbench.execution.schedule.run import CellCallback, RunProgress, RunSummary, run_cells
from harmbench.execution.schedule.run_options import RunOptions
from harmbench.plugins import Plugin, Registry
from harmbench.store.provenance import command_line
from harmbench.tracking.outbox import Outbox
from harmbench.tracking.recorder import MlflowRecorder


def run_and_record(
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
    """Run all cells of a selection as `run_cells` does, and mirror their records in MLflow.

    Records that are still waiting are sent first.
    """
    recorder = MlflowRecorder(home, command_line())
    outbox = Outbox(home, recorder, lambda line: progress.log(f"warning: {line}"))
    registry.add(
        Plugin(name="mlflow", distribution="harmbench", version="", origin="built in"), outbox
    )
    failed = True
    try:
        outbox.send_all()
        summary = run_cells(
            registry,
            selection,
            home,
            options,
            executor_options,
            progress,
            invocation=invocation,
            on_cell=on_cell,
        )
        failed = summary.failed
    finally:
        outbox.close(failed=failed)
    return dataclasses.replace(summary, recorded=recorder.recorded, waiting=outbox.waiting())
