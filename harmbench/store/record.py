"""The record of a cell that has ended: its axes, facts, numbers, and values by subject."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from harmbench.contracts.cell import Cell, CellResult, Status
from harmbench.statistics.estimate import by_subject
from harmbench.statistics.subjects import encode
from harmbench.store.columns import AXES, FACTS, NO_VOTE, NUMBERS, TABLES, TEXTS
from harmbench.store.provenance import Provenance, environment, settings
from harmbench.util.hashing import digest

# Raised when the meaning of a stored record changes; see "Stored data and new versions" in
# docs/running.md.
SCHEMA = 1
FAILURES = (Status.FAILED, Status.DIVERGED)
_LONGEST_REASON = 4000


class UnknownSchemaError(ValueError):
    """A record has a schema that this version does not read."""


class MetricValues(NamedTuple):
    """A metric of a cell: the number, its interval, and the subjects' values as text."""

    mean: float
    low: float
    high: float
    subjects: str


@dataclass(frozen=True, kw_only=True)
class Record:
    """A cell that has ended.

    Attributes
    ----------
    id
        Hash of the head; for failures also of the time, since each attempt counts.
    started
        Time of recording, in milliseconds since 1970.
    user
        Name of the user.
    head
        The columns `TEXTS`, `NUMBERS` and `TABLES`, and `facts` by name, as JSON types.
    subjects
        The subjects' names, as `harmbench.statistics.subjects` writes them.
    metrics
        Values by metric.
    provenance
        Command, environment and settings.
    """

    id: str
    started: int
    user: str
    head: Mapping[str, Any]
    subjects: str
    metrics: Mapping[str, MetricValues]
    provenance: Provenance

    def to_line(self) -> bytes:
        """Return the record as one line of JSON."""
        metrics = {
            name: {
                "mean": _to_json(values.mean),
                "low": _to_json(values.low),
                "high": _to_json(values.high),
                "subjects": values.subjects,
            }
            for name, values in self.metrics.items()
        }
        content = {"schema": SCHEMA, **asdict(self), "metrics": metrics}
        return json.dumps(content).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Record:
        """Read a line that `to_line` wrote.

        Raises
        ------
        UnknownSchemaError
            If a newer version wrote it.
        ValueError, KeyError, TypeError
            If it is damaged.
        """
        content = json.loads(line)
        if content["schema"] != SCHEMA:
            raise UnknownSchemaError(content["schema"])
        return cls(
            id=content["id"],
            started=content["started"],
            user=content["user"],
            head=content["head"],
            subjects=content["subjects"],
            metrics={
                name: MetricValues(
                    float(values["mean"]),
                    float(values["low"]),
                    float(values["high"]),
                    values["subjects"],
                )
                for name, values in content["metrics"].items()
            },
            provenance=Provenance(**content["provenance"]),
        )


def head_of(cell: Cell, result: CellResult) -> dict[str, Any]:
    """Return the columns of a cell that need no scores, as JSON types."""
    metrics = result.facts.get("metrics", {})
    tables = {
        **result.facts,
        "metric_versions": {name: metrics[name]["version"] for name in metrics},
        "submission": cell.submission,
    }
    head = {
        **_texts(cell, result),
        **{name: getattr(cell, name) for name in NUMBERS},
        **{name: tables.get(name, {}) for name in TABLES},
        "facts": {name: result.facts[name] for name in FACTS if name in result.facts},
    }
    # As it is read back, so that a fresh and a stored result have the same id.
    return dict(json.loads(json.dumps(head)))


def record_of(
    cell: Cell, result: CellResult, head: Mapping[str, Any], key: str, command: str
) -> Record:
    """Return the record of a cell, of this moment.

    Parameters
    ----------
    cell, result
        The cell and its result.
    head, key
        As `head_of` and `id_of` returned them.
    command
        The command line of this process.
    """
    subjects, metrics = values_of(result)
    return Record(
        id=key,
        started=int(time.time() * 1000),
        user=os.environ.get("USER", ""),
        head=head,
        subjects=subjects,
        metrics=metrics,
        provenance=Provenance(
            command,
            {
                **environment(str(head["device"])),
                **{f"plugin {name}": key for name, key in result.facts.get("plugins", {}).items()},
            },
            settings(cell),
        ),
    )


def id_of(head: Mapping[str, Any]) -> str:
    """Return the id of a record: equal heads are the same result.

    Every failure counts, and so does every submission: the last images under a name count.
    """
    counts = head["status"] in FAILURES or bool(head["submission"])
    return digest(head, time.time_ns() if counts else None)


def measured(result: CellResult) -> str:
    """Return the digest of the code of all metrics in a result."""
    metrics = result.facts.get("metrics", {})
    return digest({name: metrics[name]["key"] for name in metrics})


def values_of(result: CellResult) -> tuple[str, dict[str, MetricValues]]:
    """Return the subjects' names, and each metric's number, interval and values by subject.

    The values are included only where the number is their mean.
    """
    means, encoded = {}, {"": ""}
    if result.scores is not None:
        of_subjects = by_subject(result.scores)
        means, encoded = dict(of_subjects.mean()), encode(of_subjects)
    metrics = {}
    for name, estimate in result.estimates.items():
        is_mean = name in means and _same(estimate.mean, means[name])
        values = encoded[name] if is_mean else ""
        metrics[name] = MetricValues(estimate.mean, estimate.low, estimate.high, values)
    return encoded[""], metrics


def _texts(cell: Cell, result: CellResult) -> dict[str, str]:
    status = Status.DONE if result.status is Status.CACHED else result.status
    texts = {axis: str(getattr(cell, axis) or "") for axis in AXES if axis not in NUMBERS} | {
        "family": cell.family,
        "group": cell.group,
        "cell": cell.key,
        "fit": cell.fit_key or "",
        "status": status.value,
        "reason": result.reason[:_LONGEST_REASON],
        "device": str(result.facts.get("device", "")),
        "lower_is_better": ",".join(result.facts.get("lower_is_better", ())),
        "diagnostic": ",".join(result.facts.get("diagnostic", ())),
        "ranges": str(result.facts.get("ranges", "")),
        "headline": ",".join(result.facts.get("headline", ())),
        "normalization": cell.normalization,
        "question": cell.question,
        "needs": cell.needs,
        "covariates": ", ".join(cell.covariates),
        "votes": "" if cell.votes else NO_VOTE,
        "code": cell.code,
        "measured": measured(result),
    }
    return {name: texts[name] for name in TEXTS}


def _same(first: float, second: float) -> bool:
    return math.isclose(first, second, rel_tol=1e-6) or (math.isnan(first) and math.isnan(second))


def _to_json(value: float) -> float | str:
    """Return infinity and NaN as text, since JSON has no such numbers."""
    return float(value) if math.isfinite(value) else str(float(value))
