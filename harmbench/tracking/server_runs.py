"""Runs of a shared MLflow store: read through MLflow's client, with a copy in the home."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from harmbench.store.columns import AXES
from harmbench.store.provenance import Provenance
from harmbench.store.record import SCHEMA, MetricValues, Record, UnknownSchemaError
from harmbench.store.result_table import LAYOUT, joined, to_table
from harmbench.tracking.connection import connect, search, shared_uri
from harmbench.tracking.tags import (
    COMMAND,
    COMMIT,
    METRIC,
    RECORD,
    SUBJECTS,
    SUMMARY,
    USER,
    VERSION,
)
from harmbench.util.files import atomic_write
from harmbench.util.hashing import digest

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_LOG = logging.getLogger(__name__)
# Runs are selected by the time at which they ended, and the clocks of machines differ.
_OVERLAP_MS = 3600 * 1000
# MLflow's filters with more ids than this are slow.
_MOST_EXCLUDED = 500
_ENDED = "ended"


def table(home: Path) -> pa.Table:
    """Read the runs that have ended since the last call, and add them to the copy in the home.

    Ended runs do not change any more; deleted runs are removed from the copy.

    Returns
    -------
    pyarrow.Table
        The runs, a row each, as `harmbench.store.result_table` lays them out, oldest first.

    Raises
    ------
    UserError
        If the store does not answer.
    """
    client, experiment = connect(home)
    before = _copied(home)
    runs = _new_runs(client, experiment, before)
    deleted = _deleted(client, experiment)
    gone = set(before["mlflow_run"].to_pylist()) & deleted
    if not runs and not gone:
        return before.drop_columns(_ENDED)
    replaced = pa.array([*deleted, *(run.info.run_id for run in runs)], pa.string())
    kept = before.filter(pc.invert(pc.is_in(before["mlflow_run"], value_set=replaced)))
    after = joined([kept, _table(runs)]).sort_by([("started", "ascending")])
    with atomic_write(_path(home)) as stream:
        pq.write_table(after, stream)
    return after.drop_columns(_ENDED)


def last_table(home: Path) -> pa.Table:
    """Return the runs that the last call of `table` returned; none before the first call."""
    return _copied(home).drop_columns(_ENDED)


def artifact(home: Path, record: str, name: str) -> Path | None:
    """Return the path of a run's file, fetched from the store if needed; None if it has none.

    Parameters
    ----------
    home
        Home folder: holds copies of the files.
    record
        Id of the run's record, as in the table of runs.
    name
        `"figure.png"`, `"scores.csv"`, `"result.json"`, `"curves.csv"` or `"traceback.txt"`.
    """
    path = _path(home)
    run_id = _run_ids(path, path.stat().st_mtime_ns).get(record) if path.exists() else None
    if run_id is None:
        return None
    folder = home / "recorded" / run_id
    if (folder / name).exists():
        return folder / name
    client, _ = connect(home)
    if name not in {item.path for item in client.list_artifacts(run_id)}:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    return Path(client.download_artifacts(run_id, name, str(folder)))


@functools.lru_cache(maxsize=1)
def _run_ids(path: Path, _changed: int) -> dict[str, str]:
    """Return the ids of MLflow's runs by record; read again only when the copy has changed."""
    ids = pq.read_table(path, columns=["run_id", "mlflow_run"])
    return dict(zip(ids["run_id"].to_pylist(), ids["mlflow_run"].to_pylist(), strict=True))


def _path(home: Path) -> Path:
    return home / "recorded" / f"{digest(shared_uri(), SCHEMA, LAYOUT)}.parquet"


def _copied(home: Path) -> pa.Table:
    """Read the copy; one that is missing or damaged is made again."""
    try:
        return pq.read_table(_path(home))
    except FileNotFoundError:
        pass
    except (OSError, pa.ArrowException) as error:
        _LOG.warning("warning: %s is damaged and made again (%s)", _path(home), error)
    return _table([])


def _new_runs(client: MlflowClient, experiment: str, before: pa.Table) -> list[Run]:
    """Return the ended runs that the copy lacks."""
    runs = [run for query in _queries(before) for run in search(client, experiment, query)]
    return [run for run in runs if run.info.status != "RUNNING"]


def _queries(before: pa.Table) -> Iterator[str]:
    """Yield filters that select the runs that the copy may lack, without those that it has."""
    query = "tags.role = 'cell'"
    if not len(before):
        yield query
        return
    since = pc.max(before[_ENDED]).as_py() - _OVERLAP_MS
    recent = before.filter(pc.greater(before[_ENDED], since)).sort_by(_ENDED)
    for start in range(0, len(recent), _MOST_EXCLUDED):
        known = recent.slice(start, _MOST_EXCLUDED)
        ids = ", ".join(f"'{run_id}'" for run_id in known["mlflow_run"].to_pylist())
        part = f"{query} AND attributes.end_time > {since} AND attributes.run_id NOT IN ({ids})"
        if start + _MOST_EXCLUDED >= len(recent):
            yield part
        else:
            since = known[_ENDED][-1].as_py()
            # A run of the next part that ended at the same moment is read again, and replaced.
            yield f"{part} AND attributes.end_time <= {since}"


def _deleted(client: MlflowClient, experiment: str) -> set[str]:
    runs = search(client, experiment, "tags.role = 'cell'", deleted=True)
    return {run.info.run_id for run in runs}


def _table(runs: list[Run]) -> pa.Table:
    """Return the table of runs; those that cannot be read are left out, with a line in the log."""
    read: list[tuple[Run, Record]] = []
    for run in runs:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            read.append((run, _record(run)))
    if len(read) < len(runs):
        _LOG.warning(
            "warning: %d runs of %s were recorded by another version of harmbench and are left out",
            len(runs) - len(read),
            shared_uri(),
        )
    return to_table(
        [record for _, record in read],
        mlflow_run=pa.array([run.info.run_id for run, _ in read], pa.string()),
        **{_ENDED: pa.array([run.info.end_time for run, _ in read], pa.int64())},
    )


def _record(run: Run) -> Record:
    """Return the record that a run mirrors.

    Raises
    ------
    UnknownSchemaError
        If it is of another schema.
    ValueError, KeyError, TypeError
        If it is damaged.
    """
    tags = run.data.tags
    head = json.loads(_whole(run, SUMMARY))
    if head["schema"] != SCHEMA:
        raise UnknownSchemaError(head["schema"])
    return Record(
        id=tags.get(RECORD) or run.info.run_id,
        started=run.info.start_time,
        user=tags.get(USER, ""),
        head=head,
        subjects=_whole(run, SUBJECTS),
        metrics={name: _values(_whole(run, METRIC + name)) for name in head["metrics"]},
        provenance=_provenance(run),
    )


def _whole(run: Run, name: str) -> str:
    """Return a text; it continues in further tags if it is long."""
    tags = run.data.tags
    parts, i = [tags.get(name, "")], 1
    while (more := tags.get(f"{name}/{i}")) is not None:
        parts.append(more)
        i += 1
    return "".join(parts)


def _values(text: str) -> MetricValues:
    numbers, _, subjects = text.partition(";")
    mean, low, high = map(float, numbers.split(","))
    return MetricValues(mean, low, high, subjects)


def _provenance(run: Run) -> Provenance:
    tags, params = run.data.tags, run.data.params
    origin = {"commit": tags.get(COMMIT, ""), "device": tags.get("device", "")}
    versions = {
        name.removeprefix(VERSION): tags[name] for name in sorted(tags) if name.startswith(VERSION)
    }
    return Provenance(
        tags.get(COMMAND, ""),
        versions | {name: text for name, text in origin.items() if text},
        {name: text for name, text in sorted(params.items()) if name not in AXES},
    )
