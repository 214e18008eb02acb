"""All scores as one tidy file, with a data dictionary."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from harmbench.errors import UserError
from harmbench.leaderboard.measure import Measure
from harmbench.statistics.subjects import decode
from harmbench.store.columns import PLACE

SUFFIXES = (".parquet", ".csv")
# Minimum number of rows per write.
_BATCH = 200_000

# Columns of a run: type, unit and meaning.
_RUN = {
    "run_id": ("string", "", "id of the record in the results store"),
    "user": ("string", "", "name of the user who recorded it"),
    "started": ("timestamp", "UTC", "when it was recorded"),
    "method": ("string", "", "the method's name"),
    "label": ("string", "", "the name with its changed settings: the unit of comparison"),
    "control": ("string", "", "'floor' or 'ceiling' for a control, empty for a ranked method"),
    "submission": (
        "string",
        "",
        "of images that were harmonised elsewhere: author, date, reference, digests and missing "
        "scans as JSON; empty for a method",
    ),
    "task": ("string", "", "the task's name"),
    "family": ("string", "", "the task's family: what it measures"),
    "target": ("string", "", "the domain that it harmonises to; empty in old records"),
    "cohort": (
        "string",
        "",
        "the data set, with its normalisation unless it is the default",
    ),
    "cohort_key": ("string", "", "hash of the cohort's content: numbers of two never mix"),
    "fit_cohort": ("string", "", "the data set of the fits; empty if it is the cohort itself"),
    "fit_cohort_key": ("string", "", "hash of its content: numbers of two never mix"),
    "kind": ("string", "", "'phantom' or 'simulated': NOT real scans; or 'real'"),
    "preset": ("string", "", "'quick' or 'paper': grid and settings"),
    "split": (
        "string",
        "",
        "'test'; 'tuning': validation subjects were scored; or '5 folds': cross-validation",
    ),
    "fold": ("int64", "", "the fold whose subjects were scored, from 1; 0 without folds"),
    "normalization": ("string", "", "how intensities became [0, 1]"),
    "question": ("string", "", "hash of task, test data and instruments: numbers of two never mix"),
    "seed": ("int64", "", "base seed of everything random"),
    "code": ("string", "", "hash of the method's code; empty in old records"),
    "bundle": ("string", "", "origin of an imported result; empty for a result of this home"),
}
# Columns of a value.
_VALUE = {
    "subject": ("string", "", "the subject: the unit of every statistic"),
    "scan": ("string", "", "the subject's session; empty where the value is the subject's mean"),
    "slice": (
        "Int64",
        "index",
        "axial slice from 0; -1 where the value belongs to the scan; missing where it is the "
        "subject's mean",
    ),
    "metric": ("string", "", "the metric's name; see 'metrics'"),
    "value": ("double", "the metric's", "the value; missing where the metric is not defined"),
}


@dataclass(frozen=True, kw_only=True)
class Exported:
    """The files that were written.

    Attributes
    ----------
    path, dictionary
        The scores, and the data dictionary.
    rows, complete, subjects_only, left_out
        Numbers of rows; of runs with every slice, with subjects' means only, and without
        scores.
    """

    path: Path
    dictionary: Path
    rows: int
    complete: int
    subjects_only: int
    left_out: int


def export(
    runs: pd.DataFrame,
    metrics: Mapping[str, Measure],
    summaries: Mapping[str, str],
    cells: Path,
    path: Path,
    *,
    slices: bool = True,
) -> Exported:
    """Write one row for every run, subject, scan, slice and metric.

    Scores of slices are in the store of cells of the machine that computed them; for other
    runs each subject's mean is taken from the record instead.

    Parameters
    ----------
    runs
        As returned by `harmbench.tracking.reader.runs`, with all metrics.
    metrics, summaries
        All metrics, and the summaries of those that are registered here.
    cells
        Folder of the store of cells.
    path
        File to write, `.parquet` or `.csv`; the dictionary is written next to it as `.json`.
    slices
        Whether to write slices, or only each subject's mean.

    Raises
    ------
    UserError
        If the file cannot be written, or has another suffix.
    """
    if path.suffix not in SUFFIXES:
        raise UserError(f"{path}: the name must end in {' or '.join(SUFFIXES)}")
    counts = {"complete": 0, "subjects": 0, "rows": 0}
    scored, left_out = _by_status(runs)
    frames = _frames(scored, list(metrics), cells if slices else None, counts)
    dictionary = path.with_suffix(".json")
    try:
        (_parquet if path.suffix == ".parquet" else _csv)(path, _batches(frames))
        content = _dictionary(path, counts, metrics, summaries, left_out)
        dictionary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from None
    return Exported(
        path=path,
        dictionary=dictionary,
        rows=counts["rows"],
        complete=counts["complete"],
        subjects_only=counts["subjects"],
        left_out=len(left_out),
    )


def _frames(
    runs: list[dict[str, Any]], metrics: list[str], cells: Path | None, counts: dict[str, int]
) -> Iterator[pd.DataFrame]:
    """Yield the rows of each run, and count them; subjects' means only if `cells` is None."""
    for run in runs:
        values = None if cells is None else _slices(cells, str(run["cell"]))
        counts["complete" if values is not None else "subjects"] += 1
        if values is None:
            values = _subjects(run, metrics)
        counts["rows"] += len(values)
        started = pd.to_datetime(run["started"], unit="ms", utc=True)
        origin = json.dumps(run["submission"]) if run["submission"] else ""
        columns = {name: run[name] for name in _RUN} | {"started": started, "submission": origin}
        yield values.assign(**columns)[[*_RUN, *_VALUE]]


def _by_status(runs: pd.DataFrame) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Separate the runs with scores from a description of the runs without."""
    scored: dict[str, dict[str, Any]] = {}
    left_out: list[dict[str, Any]] = []
    for record in runs.to_dict("records"):
        run = {str(name): value for name, value in record.items()}
        if run["status"] == "done":
            scored[run["run_id"]] = run
        else:
            names = ("run_id", *PLACE, "status", "reason")
            left_out.append({name: run[name] for name in names})
    return list(scored.values()), left_out


def _slices(cells: Path, key: str) -> pd.DataFrame | None:
    """Return all scores of a cell; None unless they are on this machine."""
    try:
        table = pd.read_csv(cells / key / "scores.csv", dtype={"subject": str, "scan": str})
    except (OSError, ValueError):
        return None
    return table.astype({"slice": "Int64"})


def _subjects(run: Mapping[str, Any], metrics: list[str]) -> pd.DataFrame:
    rows = [
        (subject, "", None, metric, value)
        for metric in metrics
        for subject, value in zip(*decode(run["subjects"], run[f"{metric}.subjects"]), strict=True)
    ]
    return pd.DataFrame(rows, columns=list(_VALUE)).astype({"slice": "Int64", "value": float})


def _batches(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Join small tables into larger ones of bounded size."""
    waiting: list[pd.DataFrame] = []
    for frame in frames:
        waiting.append(frame)
        if sum(map(len, waiting)) >= _BATCH:
            yield pd.concat(waiting, ignore_index=True)
            waiting = []
    if waiting:
        yield pd.concat(waiting, ignore_index=True)


def _csv(path: Path, batches: Iterator[pd.DataFrame]) -> None:
    with path.open("w", newline="") as stream:
        pd.DataFrame(columns=[*_RUN, *_VALUE]).to_csv(stream, index=False)
        for batch in batches:
            batch.to_csv(stream, index=False, header=False)


def _parquet(path: Path, batches: Iterator[pd.DataFrame]) -> None:
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    types: dict[str, Callable[[], Any]] = {
        "string": pa.string,
        "int64": pa.int64,
        "Int64": pa.int64,
        "double": pa.float64,
        "timestamp": lambda: pa.timestamp("ms", tz="UTC"),
    }
    columns = (_RUN | _VALUE).items()
    schema = pa.schema([(name, types[column_type]()) for name, (column_type, _, _) in columns])
    with ParquetWriter(path, schema) as writer:
        for batch in batches:
            writer.write_table(pa.Table.from_pandas(batch, schema, preserve_index=False))


def _dictionary(
    path: Path,
    counts: Mapping[str, int],
    metrics: Mapping[str, Measure],
    summaries: Mapping[str, str],
    left_out: list[dict[str, Any]],
) -> dict[str, Any]:
    return {
        "file": path.name,
        "written": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "rows": counts["rows"],
        "columns": {
            name: {"type": column_type.lower(), "unit": unit, "meaning": meaning}
            for name, (column_type, unit, meaning) in (_RUN | _VALUE).items()
        },
        "metrics": {
            name: {
                "unit": measure.unit,
                "higher_is_better": measure.higher_is_better,
                "meaning": summaries.get(name, ""),
            }
            for name, measure in metrics.items()
        },
        "runs": {
            "with every slice": counts["complete"],
            "with subjects' means only": counts["subjects"],
            "without scores": left_out,
        },
    }
