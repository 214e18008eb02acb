"""Mirrors every recorded cell as an MLflow run; `server_runs` reads the runs of a server."""

from __future__ import annotations

import contextlib
import json
import math
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from harmbench.contracts.cell import Cell, CellResult
from harmbench.contracts.fit_progress import CurvePoint
from harmbench.leaderboard.formatting import number
from harmbench.store.columns import AXES, FACTS, NUMBERS, TEXTS
from harmbench.store.provenance import commit, settings, versions
from harmbench.store.record import FAILURES, SCHEMA, head_of, id_of, measured, values_of
from harmbench.tracking.connection import connect
from harmbench.tracking.tags import (
    COMMAND,
    COMMIT,
    CURVES,
    METRIC,
    RECORD,
    SUBJECTS,
    SUMMARY,
    VERSION,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_SECONDS_TO_RECORD = 600.0
# MLflow's limits: metrics in one call, and characters in one tag.
_MOST_METRICS = 1000
_LONGEST_TAG = 8000
_MISSING = "missing"  # tag of a result without some test scans


class RunIdentity(NamedTuple):
    """What identifies the MLflow run of a cell.

    One cell may belong to cohorts of several names, and has a row on each board. `measured` names
    the metrics and scans with scores. `record` is the id of the record of a failure, of a result
    without some test scans, and of one that counts again: they have a run per record. It is None
    for other results.
    """

    cell: str
    cohort: str
    cohort_key: str
    measured: str
    record: str | None

    @classmethod
    def of(cls, cell: Cell, result: CellResult) -> RunIdentity:
        """Return the identity of the run of a result."""
        counts_again = result.record not in ("", id_of(head_of(cell, result)))
        by_id = result.status in FAILURES or result.missing or counts_again
        return cls(
            cell=cell.key,
            cohort=cell.cohort,
            cohort_key=cell.cohort_key,
            measured=measured(result),
            record=result.record if by_id else None,
        )


class MlflowRecorder:
    """Records every cell as one MLflow run, nested under one run per invocation.

    A cell that the store already has is not recorded twice; a cached cell that it lacks, because
    it was computed without this store, is recorded now.

    Parameters
    ----------
    home
        Home folder: holds the store unless `$MLFLOW_TRACKING_URI` names one.
    command
        The command line of the invocation.
    """

    def __init__(self, home: Path, command: str) -> None:
        self._home = home
        self.command = command
        self.recorded = 0
        self._connection: tuple[MlflowClient, str] | None = None
        self._parent: str | None = None

    def record(self, cell: Cell, result: CellResult, command: str) -> None:
        """Record a cell that has ended, whatever its status.

        Parameters
        ----------
        cell, result
            The cell, and its result with the id of its record. A failure, a result without some
            test scans, and one that counts again are recorded once per id.
        command
            The command line that computed or requested it.
        """
        if self._connection is None:
            self._connection = connect(self._home)
        client, experiment = self._connection
        if self._held(RunIdentity.of(cell, result)):
            return
        run = client.create_run(
            experiment,
            run_name=_run_name(cell, result),
            tags=_tags(cell, result, command) | {"mlflow.parentRunId": self._parent_run()},
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
                *(Metric(CURVES + point.name, point.value, now, point.step) for point in curves),
            ],
            params=[Param(name, value) for name, value in _params(cell).items()],
            tags=[RunTag(f"nonfinite.{name}", str(value)) for name, value in odd.items()],
        )
        if result.folder is not None:
            client.log_artifacts(run_id, str(result.folder))
        if "traceback" in result.facts:
            client.log_text(run_id, str(result.facts["traceback"]), "traceback.txt")
        client.set_terminated(run_id, "FAILED" if result.status in FAILURES else "FINISHED")
        self.recorded += 1

    @property
    def connected(self) -> bool:
        """Whether MLflow is imported and has answered."""
        return self._connection is not None

    @property
    def has_run(self) -> bool:
        """Whether there is a run of the invocation."""
        return self._parent is not None

    def close(self, *, failed: bool) -> None:
        """End the run of the invocation, if there is one and MLflow answers."""
        if self._parent is not None and self._connection is not None:
            # All cells are recorded: an invocation that is shown as running does no harm.
            with contextlib.suppress(Exception):
                self._connection[0].set_terminated(self._parent, "FAILED" if failed else "FINISHED")

    def _held(self, wanted: RunIdentity) -> bool:
        """Return whether a run exists; delete runs of the cell that a kill left incomplete."""
        assert self._connection is not None
        client, experiment = self._connection
        recorded = False
        for run in client.search_runs([experiment], f"tags.cell = '{wanted.cell}'"):
            names = ("cell", "cohort", "cohort_key", "measured")
            recorded_as = tuple(run.data.tags.get(name) for name in names)
            if run.info.status != "RUNNING" and wanted.record is not None:
                recorded = recorded or run.data.tags.get(RECORD) == wanted.record
            elif run.info.status == "FINISHED" and _MISSING not in run.data.tags:
                recorded = recorded or recorded_as == wanted[:-1]
            elif run.info.status == "RUNNING" and not _being_written(run):
                client.delete_run(run.info.run_id)
        return recorded

    def _parent_run(self) -> str:
        """Return the run of the invocation, created when the first cell is recorded."""
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
    """Return whether another process may still be writing a run."""
    if run.data.tags.get("process") == _process():
        return False  # this process failed to end it
    node, _, process = run.data.tags.get("process", "").rpartition(":")
    if node != platform.node():
        # Processes of other machines are unknown, but recording a cell takes seconds.
        return bool(time.time() - run.info.start_time / 1000 < _SECONDS_TO_RECORD)
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _tags(cell: Cell, result: CellResult, command: str) -> dict[str, str]:
    head = head_of(cell, result)
    subjects, metrics = values_of(result)
    tags = {
        "role": "cell",
        RECORD: result.record,
        **{name: head[name] for name in TEXTS},
        **{name: str(head[name]) for name in NUMBERS},
        **_long(SUMMARY, json.dumps({"schema": SCHEMA, **head, "metrics": sorted(metrics)})),
        **_long(SUBJECTS, subjects),
        **_origin(cell),
        **_provenance(command),
    }
    if result.missing:
        tags[_MISSING] = ", ".join(result.missing)[:_LONGEST_TAG]
    for name, values in metrics.items():
        numbers = ",".join(repr(float(number)) for number in values[:3])
        tags |= _long(METRIC + name, f"{numbers};{values.subjects}")
    return tags


def _origin(cell: Cell) -> dict[str, str]:
    """Return the origin of images that were harmonised elsewhere, as tags; none for a method."""
    names = ("author", "date", "reference", "digest")
    return {
        f"submission.{name}": str(cell.submission[name])
        for name in names
        if cell.submission.get(name)
    }


def _long(name: str, text: str) -> dict[str, str]:
    """Return a text as one tag, or as several: `name`, `name/1`, `name/2`, ..."""
    parts = range(0, max(1, len(text)), _LONGEST_TAG)
    return {
        f"{name}/{i}" if i else name: text[start : start + _LONGEST_TAG]
        for i, start in enumerate(parts)
    }


def _provenance(command: str) -> dict[str, str]:
    tags = {
        "process": _process(),
        **{f"{VERSION}{name}": text for name, text in versions().items()},
        "mlflow.user": os.environ.get("USER", ""),
        "mlflow.source.type": "LOCAL",
        COMMAND: command,
    }
    return tags | ({COMMIT: commit()} if commit() else {})


def _params(cell: Cell) -> dict[str, str]:
    """Return axes, settings and the task's parameters; long tables are only in `result.json`."""
    axes = {axis: getattr(cell, axis) for axis in AXES}
    texts = {axis: str(value) for axis, value in axes.items() if value not in (None, "")}
    return {**texts, **settings(cell)}


def _run_name(cell: Cell, result: CellResult) -> str:
    """Return the name of a cell's run, with the headline metric first.

    MLflow's table of runs shows names, and no metric before the user selects its column.
    """
    for name in result.facts.get("headline", ()):
        if name in result.estimates and not math.isnan(result.estimates[name].mean):
            return f"{name} {number(result.estimates[name].mean)}: {cell.title}"
    return cell.title


def _numbers(result: CellResult) -> tuple[dict[str, float], dict[str, float]]:
    """Return the finite numbers, which become metrics, and the others, which become tags."""
    values: dict[str, float] = {}
    for name, estimate in result.estimates.items():
        values[name] = estimate.mean
        values[f"{name}.low"] = estimate.low
        values[f"{name}.high"] = estimate.high
    values |= {name: float(result.facts[name]) for name in FACTS if name in result.facts}
    finite = {name: value for name, value in values.items() if math.isfinite(value)}
    return finite, {name: value for name, value in values.items() if name not in finite}


def _thinned(curves: Sequence[CurvePoint], most: int) -> list[CurvePoint]:
    """Return at most `most` finite points of the curves, thinned evenly.

    Each curve keeps its last point, and points at equal distances before it.
    """
    by_name: dict[str, list[CurvePoint]] = {}
    for point in curves:
        if math.isfinite(point.value):
            by_name.setdefault(point.name, []).append(point)
    longest = max(map(len, by_name.values()), default=0)
    every = 1
    while every < longest and sum(-(-len(curve) // every) for curve in by_name.values()) > most:
        every += 1
    return [point for curve in by_name.values() for point in curve[::-every][::-1]][:most]
