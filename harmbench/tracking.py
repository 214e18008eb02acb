"""The one module that touches MLflow: writes a run for every cell, and reads them back."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from harmbench.errors import UserError
from harmbench.home import home
from harmbench.plugins import hookimpl
from harmbench.progress import CurvePoint
from harmbench.run.cell import Cell, CellResult, Status

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

EXPERIMENT = "harmbench"
_PAGE = 1000
_SECONDS_TO_RECORD = 600.0
# Facts of a cell that are numbers worth comparing.
_FACTS = (
    "fit_seconds",
    "fit_slices_per_second",
    "fit_peak_memory_mib",
    "harmonize_seconds_per_scan",
    "n_parameters",
    "test_people",
    "test_scans",
)
# What MLflow takes of metrics in one call.
_MOST_METRICS = 1000
# Tags that name a cell, and are columns of the table of runs.
_AXES = ("method", "label", "task", "cohort", "cohort_key", "kind", "preset", "seed", "control")


def tracking_uri() -> str:
    """Return `$MLFLOW_TRACKING_URI`, or the sqlite store in the home folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home() / 'mlflow.db'}"


def connect() -> tuple[MlflowClient, str]:
    """Return a client and the experiment's id, creating the store on first use.

    Raises
    ------
    UserError
        If the store does not answer.
    """
    # Read when mlflow is imported: nothing of a user's runs is sent anywhere.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    import mlflow
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    uri = tracking_uri()
    local = not os.environ.get("MLFLOW_TRACKING_URI")
    home().mkdir(parents=True, exist_ok=True)
    location = (home() / "artifacts").as_uri() if local else None
    try:
        client = MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            # Another process may be quicker; then its experiment is the one.
            with contextlib.suppress(mlflow.exceptions.MlflowException):
                client.create_experiment(EXPERIMENT, artifact_location=location)
            experiment = client.get_experiment_by_name(EXPERIMENT)
        return client, str(experiment.experiment_id)
    except (mlflow.exceptions.MlflowException, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"the MLflow store at {uri} does not answer: {reason}") from error


class MlflowRecorder:
    """Records every cell as one MLflow run, nested under one run per invocation.

    A cell that the store holds already is not recorded twice; one that it lacks, because
    it was computed while the store was away or with another store, is recorded now.

    Parameters
    ----------
    command
        The command line of the invocation.
    """

    def __init__(self, command: str) -> None:
        self.command = command
        self.recorded = 0
        self._connection: tuple[MlflowClient, str] | None = None
        self._parent: str | None = None

    @hookimpl
    def after_cell(self, cell: Cell, result: CellResult) -> None:
        """Record a cell that has ended, whatever its status."""
        if self._connection is None:
            self._connection = connect()
        client, experiment = self._connection
        if result.status not in (Status.FAILED, Status.DIVERGED) and self._held(cell):
            return
        run = client.create_run(
            experiment,
            run_name=cell.title,
            tags=_tags(cell, result) | {"mlflow.parentRunId": self._parent_run()},
        )
        run_id = run.info.run_id
        numbers, odd = _numbers(result)
        now = int(time.time() * 1000)
        from mlflow.entities import Metric, Param, RunTag

        curves = _thinned(result.curves, _MOST_METRICS - len(numbers))
        client.log_batch(
            run_id,
            metrics=[
                *(Metric(name, value, now, 0) for name, value in numbers.items()),
                *(Metric(f"fit.{point.name}", point.value, now, point.step) for point in curves),
            ],
            params=[Param(name, value) for name, value in _params(cell).items()],
            tags=[RunTag(f"nonfinite.{name}", str(value)) for name, value in odd.items()],
        )
        if result.folder is not None:
            client.log_artifacts(run_id, str(result.folder))
        if "traceback" in result.facts:
            client.log_text(run_id, str(result.facts["traceback"]), "traceback.txt")
        failed = result.status in (Status.FAILED, Status.DIVERGED)
        client.set_terminated(run_id, "FAILED" if failed else "FINISHED")
        self.recorded += 1

    def close(self, *, failed: bool) -> None:
        """End the run of the invocation, if one was begun."""
        if self._parent is not None and self._connection is not None:
            self._connection[0].set_terminated(self._parent, "FAILED" if failed else "FINISHED")

    def _held(self, cell: Cell) -> bool:
        """Whether a whole run of the cell is there; what a kill left half done is removed."""
        assert self._connection is not None
        client, experiment = self._connection
        whole = False
        for run in client.search_runs([experiment], f"tags.cell = '{cell.key}'"):
            # One cell may belong to cohorts of several names, and has a row on each board.
            board = (run.data.tags.get("cohort"), run.data.tags.get("cohort_key"))
            if run.info.status == "FINISHED" and board == (cell.cohort, cell.cohort_key):
                whole = True
            elif run.info.status == "RUNNING" and not _being_written(run):
                client.delete_run(run.info.run_id)
        return whole

    def _parent_run(self) -> str:
        """Return the run of the invocation, begun when the first cell is recorded."""
        if self._parent is None:
            assert self._connection is not None
            client, experiment = self._connection
            run = client.create_run(
                experiment,
                run_name=time.strftime("run of %Y-%m-%d %H:%M:%S"),
                tags={"role": "invocation"} | _provenance(self.command),
            )
            self._parent = run.info.run_id
            # The command of a later invocation may differ; each cell keeps its own parent.
        return self._parent


def _process() -> str:
    return f"{platform.node()}:{os.getpid()}"


def _being_written(run: Run) -> bool:
    """Whether the process that began a run may still be at it."""
    node, _, process = run.data.tags.get("process", "").rpartition(":")
    if node != platform.node():
        # Nothing is known of other machines, but recording a cell takes seconds.
        return bool(time.time() - run.info.start_time / 1000 < _SECONDS_TO_RECORD)
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _tags(cell: Cell, result: CellResult) -> dict[str, str]:
    status = Status.DONE if result.status is Status.CACHED else result.status
    tags = {
        "role": "cell",
        "cell": cell.key,
        "status": status.value,
        "reason": result.reason[:4000],
        "fit": cell.fit_key or "",
        "device": str(result.facts.get("device", "")),
        "lower_is_better": ",".join(result.facts.get("lower_is_better", ())),
        **{axis: str(getattr(cell, axis) or "") for axis in _AXES if axis != "seed"},
        "seed": str(cell.seed),
    }
    return tags | _provenance("")


def _provenance(command: str) -> dict[str, str]:
    tags = {
        "process": _process(),
        "version.harmbench": version("harmbench"),
        "version.torch": version("torch"),
        "version.python": platform.python_version(),
        "mlflow.user": os.environ.get("USER", ""),
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": command or "harmbench",
    }
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        sha = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],
            capture_output=True, text=True, check=True,
        ).stdout.strip()  # fmt: skip
        tags["mlflow.source.git.commit"] = sha
    return tags


def _params(cell: Cell) -> dict[str, str]:
    """Axes, settings, and what the task drew; long tables are in `result.json` instead."""
    named = {axis: getattr(cell, axis) for axis in _AXES}
    named |= {f"{cell.method}.{name}": value for name, value in cell.settings.items()}
    named |= {
        f"task.{name}": value
        for name, value in cell.parameters.items()
        if isinstance(value, (str, int, float, bool))
    }
    return {name: str(value)[:500] for name, value in named.items() if value not in (None, "")}


def _numbers(result: CellResult) -> tuple[dict[str, float], dict[str, float]]:
    """Split what is to be logged into finite numbers and the others, which become tags."""
    values: dict[str, float] = {}
    for name, estimate in result.estimates.items():
        values[name] = estimate.mean
        values[f"{name}.low"] = estimate.low
        values[f"{name}.high"] = estimate.high
    values |= {name: float(result.facts[name]) for name in _FACTS if name in result.facts}
    finite = {name: value for name, value in values.items() if math.isfinite(value)}
    return finite, {name: value for name, value in values.items() if name not in finite}


def _thinned(curves: Sequence[CurvePoint], most: int) -> list[CurvePoint]:
    """Return the finite points of curves, thinned out evenly to `most` of them.

    Each curve keeps its last point, and points at equal distances before it.
    """
    by_name: dict[str, list[CurvePoint]] = {}
    for point in curves:
        if math.isfinite(point.value):
            by_name.setdefault(point.name, []).append(point)
    longest = max(map(len, by_name.values()), default=0)
    every = 1
    while every < longest and sum(-(-len(each) // every) for each in by_name.values()) > most:
        every += 1
    return [point for each in by_name.values() for point in each[::-every][::-1]][:most]


def runs() -> pd.DataFrame:
    """Read all cells recorded, the newest run of each.

    Returns
    -------
    pandas.DataFrame
        Columns `method`, `label`, `task`, `cohort`, `cohort_key`, `kind`, `preset`, `seed`,
        `control`, `status`, `reason`, `cell`, `fit`, `lower_is_better` (names of metrics),
        `run_id`, `started` (ms), and one for every metric. Empty if nothing was recorded.
    """
    if (
        tracking_uri() == f"sqlite:///{home() / 'mlflow.db'}"
        and not (home() / "mlflow.db").exists()
    ):
        return pd.DataFrame()
    client, experiment = connect()
    rows: list[dict[str, Any]] = []
    token = None
    while True:
        page = client.search_runs(
            [experiment], "tags.role = 'cell'", max_results=_PAGE, page_token=token
        )
        rows += [_row(run) for run in page if run.info.status != "RUNNING"]
        token = page.token
        if not token:
            break
    if not rows:
        return pd.DataFrame()
    table = pd.DataFrame(rows).sort_values("started", kind="stable")
    return table.drop_duplicates(["cell", "cohort", "cohort_key"], keep="last").reset_index(
        drop=True
    )


def _row(run: Run) -> dict[str, Any]:
    tags = run.data.tags
    row: dict[str, Any] = {name: tags.get(name, "") for name in _AXES}
    row |= {
        name: tags.get(name, "") for name in ("status", "reason", "cell", "fit", "lower_is_better")
    }
    row |= {"run_id": run.info.run_id, "started": run.info.start_time, "seed": int(tags["seed"])}
    prefix = "nonfinite."
    odd = {
        name.removeprefix(prefix): float(value)
        for name, value in tags.items()
        if name.startswith(prefix)
    }
    return row | dict(run.data.metrics) | odd


def command_line() -> str:
    """Return the command as it was typed."""
    return " ".join(["harmbench", *sys.argv[1:]])
