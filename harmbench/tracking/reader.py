"""Reads the recorded cells: of the home's results store, imported bundles, a shared store."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from harmbench.bundles.imports import ImportedBundles
from harmbench.errors import UserError
from harmbench.store.result_table import RecordedRuns
from harmbench.store.results import ResultsStore
from harmbench.tracking import server_runs
from harmbench.tracking.connection import shared_uri

_LOG = logging.getLogger(__name__)


def read(home: Path, *, shared: bool = True) -> RecordedRuns:
    """Read the results of a home, of its imported bundles, and of a shared store.

    The shared store is that in `$MLFLOW_TRACKING_URI`, if it is set; it is left out if `shared`
    is false.

    Each cell counts once. If the shared store does not answer, its runs are those of the last
    answer, with a line in the log.

    Raises
    ------
    UserError
        If the shared store does not answer, and no results are known.
    """
    own = ResultsStore(home / "results").table()
    imported = ImportedBundles(home).tables()
    if not (shared and shared_uri()):
        return RecordedRuns(own, *imported)
    try:
        others = server_runs.table(home)
    except UserError as error:
        others = server_runs.last_table(home)
        if not len(own) and not len(others) and not imported:
            raise
        _LOG.warning("warning: %s; %d runs are known from before", error, len(others))
    return RecordedRuns(own, others, *imported)


def runs(home: Path, metrics: Sequence[str] | None = None) -> pd.DataFrame:
    """Read all recorded cells, as `RecordedRuns.runs` does."""
    return read(home).runs(metrics)


def cell_file(home: Path, cell: str, run_id: str, name: str) -> Path | None:
    """Return the path of a cell's file; None if there is none.

    Parameters
    ----------
    home
        Home folder: holds the files of its cells, and copies of those of a shared store.
    cell, run_id
        The cell's key, and the id of its record.
    name
        `"figure.png"`, `"scores.csv"`, `"result.json"`, `"curves.csv"`, `"slices.npz"` or
        `"traceback.txt"`.
    """
    for folder in (home / "cells" / cell, ResultsStore(home / "results").files(run_id)):
        if (folder / name).exists():
            return folder / name
    if name == "slices.npz" and (picture := ImportedBundles(home).picture(run_id)) is not None:
        return picture
    return server_runs.artifact(home, run_id, name) if shared_uri() else None
