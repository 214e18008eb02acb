"""Provenance of the numbers: command, settings, environment and files of every run."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from harmbench.tracking import reader
from harmbench.tracking.connection import (
    EXPERIMENT,
    connect,
    read_only,
    search,
    store_file,
    tracking_uri,
)
from harmbench.tracking.tags import AXES

_COMMAND, _COMMIT, _PARENT = "mlflow.source.name", "mlflow.source.git.commit", "mlflow.parentRunId"
_VERSION = "version."

Texts = Mapping[str, str]


@dataclass(frozen=True)
class Provenance:
    """Command, environment and settings of a run.

    Attributes
    ----------
    command
        The command line; empty if it is not recorded.
    environment
        Versions, the commit of the code and the device.
    settings
        All settings of the method, and the parameters that the task drew.
    """

    command: str
    environment: Texts
    settings: Texts


def provenance(home: Path) -> dict[str, Provenance]:
    """Read the provenance of every recorded cell, by the run's id."""
    runs = {run_id: (tags, params) for run_id, tags, params in _runs(home)}
    return {
        run_id: _provenance(tags, params, runs.get(tags.get(_PARENT, ""), ({}, {}))[0])
        for run_id, (tags, params) in runs.items()
        if tags.get("role") == "cell"
    }


def _provenance(tags: Texts, params: Texts, parent_tags: Texts) -> Provenance:
    versions = {
        name.removeprefix(_VERSION): tags[name]
        for name in sorted(tags)
        if name.startswith(_VERSION)
    }
    origin = {"commit": tags.get(_COMMIT, ""), "device": tags.get("device", "")}
    return Provenance(
        parent_tags.get(_COMMAND, ""),
        versions | {name: text for name, text in origin.items() if text},
        {name: text for name, text in sorted(params.items()) if name not in AXES},
    )


def _runs(home: Path) -> Iterator[tuple[str, Texts, Texts]]:
    """Yield id, tags and parameters of every run; from the sqlite file if possible."""
    path = store_file(tracking_uri(home))
    if path is not None and path.exists():
        with suppress(sqlite3.Error):
            yield from _from_file(path)
            return
    yield from _from_client(home)


def _from_file(path: Path) -> list[tuple[str, Texts, Texts]]:
    """Read MLflow's sqlite file directly: its client takes minutes."""
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


def _from_client(home: Path) -> Iterator[tuple[str, Texts, Texts]]:
    for run in search(*connect(home)):
        yield run.info.run_id, run.data.tags, run.data.params


def cell_file(home: Path, cell: str, run_id: str, name: str) -> Path | None:
    """Return the path of a cell's file: in the local stores, or fetched from MLflow."""
    stored = home / "cells" / cell / name
    logged = home / "artifacts" / run_id / "artifacts" / name
    for path in (stored, logged):
        if path.exists():
            return path
    # A local MLflow store has no other files, so that MLflow need not be imported.
    return reader.artifact(home, run_id, name) if os.environ.get("MLFLOW_TRACKING_URI") else None
