"""The table of results: a row for each record, with a column for each value."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from harmbench.store.columns import FACTS, NUMBERS, TABLES, TEXTS
from harmbench.store.provenance import Provenance
from harmbench.store.record import Record
from harmbench.util.hashing import digest

_PROVENANCE = "provenance"
# Columns of every row; those of the metrics follow.
_COLUMNS: dict[str, pa.DataType] = {
    "run_id": pa.string(),
    "mlflow_run": pa.string(),
    "started": pa.int64(),
    "user": pa.string(),
    **dict.fromkeys(NUMBERS, pa.int64()),
    **dict.fromkeys(TEXTS, pa.string()),
    **dict.fromkeys(TABLES, pa.string()),
    **dict.fromkeys(FACTS, pa.float64()),
    "subjects": pa.string(),
    "bundle": pa.string(),
    _PROVENANCE: pa.string(),
}
_BOUNDS = ("", ".low", ".high")
# A cell counts once for each of these.
_QUESTION = ["cell", "cohort", "cohort_key"]
# Of the layout of a table on disk.
LAYOUT = digest(list(_COLUMNS), 1)


def to_table(records: Sequence[Record], **columns: pa.Array) -> pa.Table:
    """Return a table with a row for each record.

    Parameters
    ----------
    records
        n records.
    columns
        Further columns of n values, or those that replace a column.
    """
    heads = [record.head for record in records]
    values: dict[str, Iterable[Any]] = {
        "run_id": (record.id for record in records),
        "mlflow_run": ("" for _ in records),
        "started": (record.started for record in records),
        "user": (record.user for record in records),
        # An older record lacks the columns that were added later.
        **{name: [head.get(name, 0) for head in heads] for name in NUMBERS},
        **{name: [head.get(name, "") for head in heads] for name in TEXTS},
        **{name: [json.dumps(head.get(name, {})) for head in heads] for name in TABLES},
        **{name: [head["facts"].get(name) for head in heads] for name in FACTS},
        "subjects": (record.subjects for record in records),
        "bundle": ("" for _ in records),
        _PROVENANCE: (json.dumps(vars(record.provenance)) for record in records),
    }
    arrays = {name: pa.array(values[name], type) for name, type in _COLUMNS.items()}
    metrics = dict.fromkeys(name for record in records for name in record.metrics)
    for metric in sorted(metrics):
        measured = [record.metrics.get(metric) for record in records]
        for i, bound in enumerate(_BOUNDS):
            numbers = [None if value is None else value[i] for value in measured]
            arrays[f"{metric}{bound}"] = pa.array(numbers, pa.float64())
        texts = ["" if value is None else value.subjects for value in measured]
        arrays[f"{metric}.subjects"] = pa.array(texts, pa.string())
    return pa.table(arrays | columns)


def joined(tables: Sequence[pa.Table]) -> pa.Table:
    """Return the rows of all tables; a metric that a row lacks is null."""
    return pa.concat_tables(tables, promote_options="default")


class RecordedRuns:
    """The recorded cells of one or several stores, the newest complete record of each.

    Parameters
    ----------
    own
        Records of this home, oldest first.
    others
        Records of other stores. For a cell that several have, the own record counts, unless only
        another is complete.

    Attributes
    ----------
    metrics
        Names of all recorded metrics.
    headlines
        Headline metrics of the tasks, most important first.
    """

    def __init__(self, own: pa.Table, *others: pa.Table) -> None:
        table = joined([*others, own])
        is_own = np.arange(len(table)) >= len(table) - len(own)
        self._table = table.take(_newest(table, is_own))
        names = (name.removesuffix(".low") for name in table.column_names if name.endswith(".low"))
        self.metrics = tuple(
            sorted(name for name in names if self._table[name].null_count < len(self._table))
        )
        by_task = dict.fromkeys(self._table["headline"].to_pylist())
        headlines = (name for text in by_task for name in text.split(",") if name)
        self.headlines = tuple(dict.fromkeys(headlines))

    def runs(self, metrics: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the recorded cells as a table, oldest first.

        Parameters
        ----------
        metrics
            Metrics to include; all if None. Fewer are faster.

        Returns
        -------
        pandas.DataFrame
            Columns `run_id` (id of the record), `mlflow_run` (id of the MLflow run if the record
            comes from MLflow, else ""), `started` (ms), `user`, `cell`, `fit`, `method`, `label`,
            `task`, `cohort`, `cohort_key`, `kind`, `preset`, `normalization`, `question` (hash of
            task, test data and instruments), `measured` (hash of the metrics), `seed`, `fold`,
            `family` and `group` of the task, `control`, `status`, `reason`, `device`,
            `lower_is_better`, `diagnostic` and `headline` (names of metrics), `ranges` (of metrics,
            as `encode_ranges` writes them), `bounds` (by title and metric), `draws` (by metric),
            `flags` (warnings of the method, by "subject/session"), `missing` (why a command failed
            on scans, by "subject/session"),
            `submission` (its origin, by name), `metric_versions`, `environment` (versions of
            libraries, and class of device), `subjects` (their names), `bundle` (origin of an
            imported result, else ""), and facts such as `fit_seconds`; for each metric `m` its
            number `m`, `m.low`, `m.high` and the subjects' values `m.subjects`, as
            `harmbench.statistics.subjects` writes them.
            Empty if nothing was recorded.
        """
        if not len(self._table):
            return pd.DataFrame()
        columns: dict[str, pd.Series] = {}
        for name in _COLUMNS:
            if name in TABLES:
                columns[name] = _objects(_parsed(self._table[name].to_pylist()))
            elif name != _PROVENANCE:
                columns[name] = self._column(name)
        for metric in self.metrics:
            if metrics is None or metric in metrics:
                for bound in (*_BOUNDS, ".subjects"):
                    columns[f"{metric}{bound}"] = self._column(f"{metric}{bound}")
        return pd.DataFrame(columns)

    def provenance(self) -> dict[str, Provenance]:
        """Return the provenance of every cell, by the record's id."""
        texts = self._table[_PROVENANCE].to_pylist()
        origins = [Provenance(**json.loads(text)) for text in texts]
        return dict(zip(self._table["run_id"].to_pylist(), origins, strict=True))

    def _column(self, name: str) -> pd.Series:
        column = self._table[name]
        if pa.types.is_string(column.type):
            # As Python objects, which are fastest here.
            return _objects(pc.fill_null(column, "").to_pylist())
        return pd.Series(column.to_numpy())


def _newest(table: pa.Table, is_own: np.ndarray) -> np.ndarray:
    """Return the rows to show, oldest first: of each cell the newest complete record."""
    rows = pd.DataFrame({name: _objects(table[name].to_pylist()) for name in _QUESTION})
    status = np.array(table["status"].to_pylist(), dtype=object)
    rows["started"] = table["started"].to_numpy()
    complete = np.array([text in ("", "{}") for text in table["missing"].to_pylist()])
    # A result of all test scans goes before one without some, and that before a failure.
    rows["finished"] = np.isin(status, ["done", "skipped"]) * (1 + complete)
    rows["own"] = is_own
    best = rows.sort_values(["finished", "own", "started"], kind="stable")
    best = best.drop_duplicates(_QUESTION, keep="last")
    return np.asarray(best.sort_values("started", kind="stable").index)


def _parsed(texts: Sequence[str]) -> list[Mapping[str, Any]]:
    """Parse JSON texts; equal texts, which are frequent, only once."""
    known = {text: json.loads(text) for text in set(texts)}
    return [known[text] for text in texts]


def _objects(values: Sequence[Any]) -> pd.Series:
    return pd.Series(values, dtype=object)
