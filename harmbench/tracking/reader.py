"""Reading back what MLflow holds: from its sqlite file, or from a server once and then kept."""

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

from harmbench.contracts.fit_progress import CurvePoint
from harmbench.errors import UserError
from harmbench.tracking.connection import (
    EXPERIMENT,
    connect,
    read_only,
    search,
    store_file,
    tracking_uri,
)
from harmbench.tracking.tags import CURVES, FACTS, METRIC, SUBJECTS, SUMMARY, TABLES, TEXTS
from harmbench.util.files import atomic_write
from harmbench.util.hashing import digest
from harmbench.util.home import home

if TYPE_CHECKING:
    from mlflow.entities import Run

# Clocks of those who share a server differ, and a run may take long to be written.
_OVERLAP_MS = 24 * 3600 * 1000
_USER = "mlflow.user"
# A cell may be recorded by several subjects; what one of them could not compute counts less.
_QUESTION = ["cell", "cohort", "cohort_key"]


class Recorded(ABC):
    """The cells that a store holds.

    Parameters
    ----------
    heads
        Run id, start (ms), user and summary of every run of a cell that has ended.

    Attributes
    ----------
    metrics
        Names of all metrics that any of them has.
    headlines
        Those that tasks say tell most of them, first first.
    """

    def __init__(self, heads: Sequence[tuple[str, int, str, str]]) -> None:
        self._heads = [
            (run_id, started, user, json.loads(summary)) for run_id, started, user, summary in heads
        ]
        names = {name for *_, summary in self._heads for name in summary["metrics"]}
        self.metrics = tuple(sorted(names))
        told = dict.fromkeys(summary["headline"] for *_, summary in self._heads)
        names_told = (name for text in told for name in text.split(",") if name)
        self.headlines = tuple(dict.fromkeys(names_told))

    def runs(self, metrics: Sequence[str] | None = None) -> pd.DataFrame:
        """Read all cells recorded, the newest whole run of each.

        Parameters
        ----------
        metrics
            Those whose values are wanted; all if None. The fewer, the faster.

        Returns
        -------
        pandas.DataFrame
            Columns `run_id`, `started` (ms), `user`, `cell`, `fit`, `method`, `label`, `task`,
            `cohort`, `cohort_key`, `kind`, `preset`, `normalization`, `data` (digest of the
            test data, empty where nothing was scored), `seed`, `control`, `status`, `reason`,
            `device`, `lower_is_better` and `headline` (names of metrics), `bounds` (by title
            and metric), `flags` (what the method warns of, by "subject/session"), `subjects`
            (their names), and facts such as `fit_seconds`; for each metric `m` its number `m`,
            `m.low`, `m.high` and the subjects' values `m.subjects`, as
            `harmbench.statistics.subjects` writes them. Empty if nothing was recorded.
        """
        if not self._heads:
            return pd.DataFrame()
        ids, started, users, summaries = zip(*self._heads, strict=True)

        def texts(name: str) -> list[str]:
            found = self._texts(name)
            return [found.get(run_id, "") for run_id in ids]

        columns: dict[str, Any] = {
            "run_id": ids,
            "started": started,
            "user": users,
            "seed": [summary["seed"] for summary in summaries],
            **{name: [summary[name] for summary in summaries] for name in TEXTS},
            **{name: [summary.get(name, {}) for summary in summaries] for name in TABLES},
            **{name: [summary["facts"].get(name) for summary in summaries] for name in FACTS},
            "people": texts(SUBJECTS),
        }
        for metric in self.metrics:
            if metrics is None or metric in metrics:
                found = [text.partition(";") for text in texts(METRIC + metric)]
                numbers = [_numbers(told) for told, _, _ in found]
                for place, bound in enumerate(("", ".low", ".high")):
                    columns[f"{metric}{bound}"] = [three[place] for three in numbers]
                columns[f"{metric}.people"] = [subjects for _, _, subjects in found]
        # Texts as Python's own: they are only looked up and passed on.
        table = pd.DataFrame(
            {
                name: pd.Series(values, dtype=object if isinstance(values[0], str) else None)
                for name, values in columns.items()
            }
        )
        table = table.assign(whole=table["status"].isin(["done", "skipped"]))
        newest = table.sort_values(["whole", "started"], kind="stable")
        newest = newest.drop_duplicates(_QUESTION, keep="last").drop(columns="whole")
        return newest.sort_values("started", kind="stable").reset_index(drop=True)

    @abstractmethod
    def _texts(self, name: str) -> dict[str, str]:
        """Return a tag of every run that has it, by the run's id."""


def _numbers(text: str) -> tuple[float, float, float]:
    """Return a metric's number and the bounds of its interval; NaN without any."""
    if not text:
        return math.nan, math.nan, math.nan
    value, low, high = map(float, text.split(","))
    return value, low, high


def read() -> Recorded:
    """Open the store that `tracking_uri` names.

    Raises
    ------
    UserError
        If it does not answer.
    """
    path = store_file(tracking_uri())
    if path is not None:
        if not path.exists():
            return _Table(pd.DataFrame())
        # The file says in a second what the client takes minutes for. Should a later MLflow
        # lay it out otherwise, the client still knows how to read it.
        try:
            return _File(path)
        except sqlite3.Error as error:
            if "locked" in str(error):
                raise UserError(f"{path} is being written to: try again") from None
    return _Table(_from_server())


def runs(metrics: Sequence[str] | None = None) -> pd.DataFrame:
    """Read all cells recorded, as `Recorded.runs` does."""
    return read().runs(metrics)


class _File(Recorded):
    """MLflow's sqlite file; its index of tags begins with their name."""

    _HEADS = (
        "SELECT run_uuid, start_time FROM runs JOIN experiments USING (experiment_id) "
        "WHERE experiments.name = ? AND runs.lifecycle_stage = 'active' "
        "AND runs.status != 'RUNNING' ORDER BY start_time"
    )

    def __init__(self, path: Path) -> None:
        self._path = path
        summaries, users = self._texts(SUMMARY), self._texts(_USER)
        with closing(read_only(self._path)) as store:
            found = store.execute(self._HEADS, (EXPERIMENT,)).fetchall()
        super().__init__(
            [
                (run_id, started, users.get(run_id, ""), summaries[run_id])
                for run_id, started in found
                if run_id in summaries
            ]
        )

    def _texts(self, name: str) -> dict[str, str]:
        with closing(read_only(self._path)) as store:
            query = "SELECT run_uuid, value FROM tags WHERE key = ?"
            found = dict(store.execute(query, (name,)))
            # "0" comes after "/": all that a text goes on in, and nothing else.
            query = "SELECT run_uuid, key, value FROM tags WHERE key > ? AND key < ?"
            rest = store.execute(query, (f"{name}/", f"{name}0")).fetchall()
        for run_id, _, more in sorted(rest, key=lambda row: int(row[1].rpartition("/")[2])):
            found[run_id] += more
        return found


class _Table(Recorded):
    """Runs that a server was asked for: a row each, with all its texts."""

    def __init__(self, table: pd.DataFrame) -> None:
        self._table = table
        names = ("run_id", "started", "user", SUMMARY)
        columns = [table[name] for name in names] if len(table) else []
        super().__init__(list(zip(*columns, strict=True)))

    def _texts(self, name: str) -> dict[str, str]:
        if name not in self._table:
            return {}
        return dict(zip(self._table["run_id"], self._table[name], strict=True))


def _from_server() -> pd.DataFrame:
    """Ask the client for the runs that have ended since it was last asked, and keep them all.

    A run that has ended does not change any more; one that was deleted is forgotten here.
    """
    client, experiment = connect()
    kept = home() / "recorded" / f"{digest(tracking_uri(), experiment)}.parquet"
    known = pd.read_parquet(kept) if kept.exists() else pd.DataFrame()
    query = "tags.role = 'cell'"
    gone = {run.info.run_id for run in search(client, experiment, query, deleted=True)}
    if len(known):
        query += f" AND attributes.end_time > {known['ended'].max() - _OVERLAP_MS}"
    rows = [
        _row(run)
        for run in search(client, experiment, query)
        if run.info.status != "RUNNING" and SUMMARY in run.data.tags
    ]
    table = pd.concat([known, pd.DataFrame(rows)], ignore_index=True)
    if table.empty:
        return table
    table = table.drop_duplicates("run_id", keep="last")
    table = table[~table["run_id"].isin(gone)].reset_index(drop=True)
    numbers = table[["started", "ended"]]
    table = table.drop(columns=numbers.columns).fillna("").join(numbers)
    with atomic_write(kept) as stream:
        table.to_parquet(stream)
    return table


def _row(run: Run) -> dict[str, Any]:
    """Return a run's texts by name; those that go on in further tags are joined."""
    tags = run.data.tags
    row = {
        "run_id": run.info.run_id,
        "started": run.info.start_time,
        "ended": run.info.end_time,
        "user": tags.get(_USER, ""),
    }
    for name in tags:
        if "/" not in name and (name in (SUMMARY, SUBJECTS) or name.startswith(METRIC)):
            more = (tags.get(f"{name}/{place}") for place in range(1, len(tags)))
            row[name] = tags[name] + "".join(part for part in more if part is not None)
    return row


def curves(run_id: str) -> tuple[CurvePoint, ...]:
    """Read what a run's fit recorded by step, such as its loss; empty if nothing was learnt."""
    client, _ = connect()
    names = [name for name in client.get_run(run_id).data.metrics if name.startswith(CURVES)]
    return tuple(
        CurvePoint(point.step, name.removeprefix(CURVES), point.value)
        for name in names
        for point in client.get_metric_history(run_id, name)
    )


def artifact(run_id: str, name: str) -> Path | None:
    """Return where a run's file lies, fetched if the store is a server; None without such a file.

    Parameters
    ----------
    run_id
        The run.
    name
        `"figure.png"`, `"scores.csv"`, `"result.json"`, `"curves.csv"` or `"traceback.txt"`.
    """
    client, _ = connect()
    if name not in {item.path for item in client.list_artifacts(run_id)}:
        return None
    folder = home() / "recorded" / run_id
    folder.mkdir(parents=True, exist_ok=True)
    return Path(client.download_artifacts(run_id, name, str(folder)))
