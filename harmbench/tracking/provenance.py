"""Where numbers are from: the command, settings and environment of every run, and its files."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from harmbench.tracking import reader as recorded
from harmbench.tracking.connection import (
    EXPERIMENT,
    connect,
    read_only,
    search,
    store_file,
    tracking_uri,
)
from harmbench.tracking.tags import AXES
from harmbench.util.home import home

_COMMAND, _COMMIT, _PARENT = "mlflow.source.name", "mlflow.source.git.commit", "mlflow.parentRunId"
_VERSION = "version."

Texts = Mapping[str, str]


@dataclass(frozen=True)
class Provenance:
    """Where a run's numbers are from.

    Attributes
    ----------
    command
        The command line as it was typed; empty if it is not recorded.
    environment
        Versions, the commit of the code and the device.
    settings
        The method's whole config, and what the task drew.
    """

    command: str
    environment: Texts
    settings: Texts


def provenance() -> dict[str, Provenance]:
    """Read where every run's numbers are from, by the run's id."""
    tags: dict[str, Texts] = {}
    params: dict[str, Texts] = {}
    for run_id, its_tags, its_params in _runs():
        tags[run_id], params[run_id] = its_tags, its_params
    found = {}
    for run_id, its in tags.items():
        if its.get("role") != "cell":
            continue
        versions = {
            name.removeprefix(_VERSION): its[name]
            for name in sorted(its)
            if name.startswith(_VERSION)
        }
        told = {"commit": its.get(_COMMIT, ""), "device": its.get("device", "")}
        found[run_id] = Provenance(
            tags.get(its.get(_PARENT, ""), {}).get(_COMMAND, ""),
            versions | {name: text for name, text in told.items() if text},
            {name: text for name, text in sorted(params[run_id].items()) if name not in AXES},
        )
    return found


def _runs() -> Iterator[tuple[str, Texts, Texts]]:
    """Yield id, tags and parameters of every run: from the file where there is one."""
    path = store_file(tracking_uri())
    if path is not None and path.exists():
        with suppress(sqlite3.Error):
            yield from _from_file(path)
            return
    yield from _from_client()


def _from_file(path: Path) -> list[tuple[str, Texts, Texts]]:
    """Read MLflow's sqlite file, for which its client takes minutes."""
    with closing(read_only(path)) as store:
        ids = store.execute(
            "SELECT run_uuid FROM runs JOIN experiments USING (experiment_id) "
            "WHERE experiments.name = ? AND runs.lifecycle_stage = 'active'",
            (EXPERIMENT,),
        )
        tags: dict[str, dict[str, str]] = {run_id: {} for (run_id,) in ids}
        params: dict[str, dict[str, str]] = {run_id: {} for run_id in tags}
        names = ("role", "device", _COMMAND, _COMMIT, _PARENT)
        wanted = ("tags WHERE key IN (?, ?, ?, ?, ?)", names)
        versions = ("tags WHERE key > ? AND key < ?", (_VERSION, "version/"))
        for into, (table, values) in ((tags, wanted), (tags, versions), (params, ("params", ()))):
            for run_id, key, value in store.execute(
                f"SELECT run_uuid, key, value FROM {table}", values
            ):
                if run_id in into:
                    into[run_id][key] = value or ""
    return [(run_id, tags[run_id], params[run_id]) for run_id in tags]


def _from_client() -> Iterator[tuple[str, Texts, Texts]]:
    for run in search(*connect()):
        yield run.info.run_id, run.data.tags, run.data.params


def cell_file(cell: str, run_id: str, name: str) -> Path | None:
    """Return where a file of a cell lies: in the stores here, or fetched from MLflow."""
    kept = home() / "cells" / cell / name
    beside = home() / "artifacts" / run_id / "artifacts" / name
    for path in (kept, beside):
        if path.exists():
            return path
    # MLflow need not be asked, nor imported, for what it would have kept here.
    return recorded.artifact(run_id, name) if os.environ.get("MLFLOW_TRACKING_URI") else None
