"""Reads the recorded runs: from MLflow's sqlite file, or from a server, with a local copy."""

from __future__ import annotations

import json
import math
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from harmbench.errors import UserError
from harmbench.tracking.connection import (
    EXPERIMENT,
    connect,
    read_only,
    search,
    store_file,
    tracking_uri,
)
from harmbench.tracking.tags import FACTS, METRIC, NUMBERS, SUBJECTS, SUMMARY, TABLES, TEXTS
from harmbench.util.files import atomic_write
from harmbench.util.hashing import digest

if TYPE_CHECKING:
    from mlflow.entities import Run

# Clocks of machines that share a server differ, and recording a run may take long.
_OVERLAP_MS = 24 * 3600 * 1000
_USER = "mlflow.user"
# Several users may record one cell; a finished run takes precedence over a failed one.
_QUESTION = ["cell", "cohort", "cohort_key"]


class RecordedRuns(ABC):
    """The recorded runs of a store.

    Parameters
    ----------
    heads
        Run id, start (ms), user and summary of every finished run of a cell.

    Attributes
    ----------
    metrics
        Names of all recorded metrics.
    headlines
        Headline metrics of the tasks, most important first.
    """

    def __init__(self, heads: Sequence[tuple[str, int, str, str]]) -> None:
        self._heads = [
            (run_id, started, user, json.loads(summary)) for run_id, started, user, summary in heads
        ]
        names = {name for *_, summary in self._heads for name in summary["metrics"]}
        self.metrics = tuple(sorted(names))
        by_task = dict.fromkeys(summary["headline"] for *_, summary in self._heads)
        headlines = (name for text in by_task for name in text.split(",") if name)
        self.headlines = tuple(dict.fromkeys(headlines))

    def runs(self, metrics: Sequence[str] | None = None) -> pd.DataFrame:
        """Read all recorded cells, the newest complete run of each.

        Parameters
        ----------
        metrics
            Metrics to read; all if None. Fewer are faster.

        Returns
        -------
        pandas.DataFrame
            Columns `run_id`, `started` (ms), `user`, `cell`, `fit`, `method`, `label`, `task`,
            `cohort`, `cohort_key`, `kind`, `preset`, `normalization`, `question` (hash of task,
            test data and instruments), `measured` (hash of the metrics), `seed`, `fold`,
            `family` and `group` of the task, `control`,
            `status`, `reason`, `device`, `lower_is_better` and `headline` (names of metrics),
            `bounds` (by title and metric), `flags` (warnings of the method, by
            "subject/session"), `metric_versions`, `environment` (versions of libraries, and class
            of device), `subjects` (their names), and facts such as `fit_seconds`; for each metric
            `m` its number `m`, `m.low`, `m.high` and the subjects' values `m.subjects`, as
            `harmbench.statistics.subjects` writes them. Empty if nothing was recorded.
        """
        if not self._heads:
            return pd.DataFrame()
        ids, started, users, summaries = zip(*self._heads, strict=True)

        def texts(name: str) -> list[str]:
            by_run = self._texts(name)
            return [by_run.get(run_id, "") for run_id in ids]

        columns: dict[str, Any] = {
            "run_id": ids,
            "started": started,
            "user": users,
            **{name: [summary[name] for summary in summaries] for name in NUMBERS},
            **{name: [summary[name] for summary in summaries] for name in TEXTS},
            **{name: [summary.get(name, {}) for summary in summaries] for name in TABLES},
            **{name: [summary["facts"].get(name) for summary in summaries] for name in FACTS},
            "subjects": texts(SUBJECTS),
        }
        for metric in self.metrics:
            if metrics is None or metric in metrics:
                parts = [text.partition(";") for text in texts(METRIC + metric)]
                numbers = [_numbers(text) for text, _, _ in parts]
                for i, bound in enumerate(("", ".low", ".high")):
                    columns[f"{metric}{bound}"] = [three[i] for three in numbers]
                columns[f"{metric}.subjects"] = [subjects for _, _, subjects in parts]
        # Texts as Python objects, which are fastest here.
        table = pd.DataFrame(
            {
                name: pd.Series(values, dtype=object if isinstance(values[0], str) else None)
                for name, values in columns.items()
            }
        )
        table = table.assign(finished=table["status"].isin(["done", "skipped"]))
        newest = table.sort_values(["finished", "started"], kind="stable")
        newest = newest.drop_duplicates(_QUESTION, keep="last").drop(columns="finished")
        return newest.sort_values("started", kind="stable").reset_index(drop=True)

    @abstractmethod
    def _texts(self, name: str) -> dict[str, str]:
        """Return the values of a tag, by the run's id."""


def _numbers(text: str) -> tuple[float, float, float]:
    """Return a metric's number and the bounds of its interval; NaN for an empty text."""
    if not text:
        return math.nan, math.nan, math.nan
    value, low, high = map(float, text.split(","))
    return value, low, high


def read(home: Path) -> RecordedRuns:
    """Open the store at `tracking_uri(home)`.

    Raises
    ------
    UserError
        If it does not answer.
    """
    path = store_file(tracking_uri(home))
    if path is not None:
        if not path.exists():
            return _ServerRuns(pd.DataFrame())
        # Reading the file takes a second, the client takes minutes. If a later MLflow changes the
        # tables, the client can still read them.
        try:
            return _SqliteRuns(path)
        except sqlite3.Error as error:
            if "locked" in str(error):
                raise UserError(f"{path} is locked by another process: try again") from None
    return _ServerRuns(_from_server(home))


def runs(home: Path, metrics: Sequence[str] | None = None) -> pd.DataFrame:
    """Read all recorded cells, as `RecordedRuns.runs` does."""
    return read(home).runs(metrics)


class _SqliteRuns(RecordedRuns):
    """Runs in MLflow's sqlite file; its index of tags begins with the name."""

    _HEADS = (
        "SELECT run_uuid, start_time FROM runs JOIN experiments USING (experiment_id) "
        "WHERE experiments.name = ? AND runs.lifecycle_stage = 'active' "
        "AND runs.status != 'RUNNING' ORDER BY start_time"
    )

    def __init__(self, path: Path) -> None:
        self._path = path
        summaries, users = self._texts(SUMMARY), self._texts(_USER)
        with closing(read_only(self._path)) as store:
            heads = store.execute(self._HEADS, (EXPERIMENT,)).fetchall()
        super().__init__(
            [
                (run_id, started, users.get(run_id, ""), summaries[run_id])
                for run_id, started in heads
                if run_id in summaries
            ]
        )

    def _texts(self, name: str) -> dict[str, str]:
        with closing(read_only(self._path)) as store:
            query = "SELECT run_uuid, value FROM tags WHERE key = ?"
            texts = dict(store.execute(query, (name,)))
            # "0" follows "/": this selects the continuations of a long text only.
            query = "SELECT run_uuid, key, value FROM tags WHERE key > ? AND key < ?"
            rest = store.execute(query, (f"{name}/", f"{name}0")).fetchall()
        for run_id, _, more in sorted(rest, key=lambda row: int(row[1].rpartition("/")[2])):
            texts[run_id] += more
        return texts


class _ServerRuns(RecordedRuns):
    """Runs that a server returned: a row each, with all its texts."""

    def __init__(self, table: pd.DataFrame) -> None:
        self._table = table
        names = ("run_id", "started", "user", SUMMARY)
        columns = [table[name] for name in names] if len(table) else []
        super().__init__(list(zip(*columns, strict=True)))

    def _texts(self, name: str) -> dict[str, str]:
        if name not in self._table:
            return {}
        return dict(zip(self._table["run_id"], self._table[name], strict=True))


def _from_server(home: Path) -> pd.DataFrame:
    """Read the runs that have ended since the last call, and add them to the local copy.

    Ended runs do not change any more; deleted runs are removed from the copy.
    """
    client, experiment = connect(home)
    copy = home / "recorded" / f"{digest(tracking_uri(home), experiment)}.parquet"
    previous = pd.read_parquet(copy) if copy.exists() else pd.DataFrame()
    query = "tags.role = 'cell'"
    deleted = {run.info.run_id for run in search(client, experiment, query, deleted=True)}
    if len(previous):
        query += f" AND attributes.end_time > {previous['ended'].max() - _OVERLAP_MS}"
    rows = [
        _row(run)
        for run in search(client, experiment, query)
        if run.info.status != "RUNNING" and SUMMARY in run.data.tags
    ]
    table = pd.concat([previous, pd.DataFrame(rows)], ignore_index=True)
    if table.empty:
        return table
    table = table.drop_duplicates("run_id", keep="last")
    table = table[~table["run_id"].isin(deleted)].reset_index(drop=True)
    numbers = table[["started", "ended"]]
    table = table.drop(columns=numbers.columns).fillna("").join(numbers)
    with atomic_write(copy) as stream:
        table.to_parquet(stream)
    return table


def _row(run: Run) -> dict[str, Any]:
    """Return a run's texts by name; texts that continue in further tags are joined."""
    tags = run.data.tags
    row = {
        "run_id": run.info.run_id,
        "started": run.info.start_time,
        "ended": run.info.end_time,
        "user": tags.get(_USER, ""),
    }
    for name in tags:
        if "/" not in name and (name in (SUMMARY, SUBJECTS) or name.startswith(METRIC)):
            more = (tags.get(f"{name}/{i}") for i in range(1, len(tags)))
            row[name] = tags[name] + "".join(part for part in more if part is not None)
    return row


def artifact(home: Path, run_id: str, name: str) -> Path | None:
    """Return the path of a run's file, fetched from a server if needed; None if it has none.

    Parameters
    ----------
    home
        Home folder: holds the local store, and copies of a server's files.
    run_id
        The run.
    name
        `"figure.png"`, `"scores.csv"`, `"result.json"`, `"curves.csv"` or `"traceback.txt"`.
    """
    client, _ = connect(home)
    if name not in {item.path for item in client.list_artifacts(run_id)}:
        return None
    folder = home / "recorded" / run_id
    folder.mkdir(parents=True, exist_ok=True)
    return Path(client.download_artifacts(run_id, name, str(folder)))
