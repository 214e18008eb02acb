"""Address of the MLflow store, and connections to it."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from harmbench.errors import UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

_LOG = logging.getLogger(__name__)
EXPERIMENT = "harmbench"
_SQLITE = "sqlite:///"
_PAGE = 1000


def shared_uri() -> str:
    """Return `$MLFLOW_TRACKING_URI`, which names a store besides the home folder, or ""."""
    return os.environ.get("MLFLOW_TRACKING_URI", "")


def tracking_uri(home: Path) -> str:
    """Return the address of the shared store if there is one, else of the home's sqlite store."""
    return shared_uri() or f"sqlite:///{home / 'mlflow.db'}"


def store_file(home: Path) -> Path | None:
    """Return the file of the store; None for a server, and for an address with options."""
    return _file(tracking_uri(home))


def _file(uri: str) -> Path | None:
    """Return the file of a sqlite store; None for other stores and addresses with options."""
    if uri.startswith(_SQLITE) and "?" not in uri:
        return Path(uri.removeprefix(_SQLITE))
    return None


def _create(path: Path) -> None:
    """Create a sqlite store atomically.

    MLflow creates its tables in many steps. It cannot continue them after a kill, and two
    processes must not run them at once.
    """
    from mlflow import MlflowClient

    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        if path.exists():
            return
        new = path.with_name(f".{path.name}.new")
        for leftover in (new, new.with_name(f"{new.name}-journal")):
            leftover.unlink(missing_ok=True)
        MlflowClient(tracking_uri=f"{_SQLITE}{new}").get_experiment_by_name(EXPERIMENT)
        new.replace(path)


def search(
    client: MlflowClient, experiment: str, query: str = "", *, deleted: bool = False
) -> Iterator[Run]:
    """Yield all runs that match a query, page by page.

    Raises
    ------
    UserError
        If the store does not answer.
    """
    from mlflow.entities import ViewType
    from mlflow.exceptions import MlflowException

    view = ViewType.DELETED_ONLY if deleted else ViewType.ACTIVE_ONLY
    token = None
    while True:
        try:
            page = client.search_runs([experiment], query, view, _PAGE, page_token=token)
        except MlflowException as error:
            raise _silent(client.tracking_uri, error) from error
        yield from page
        token = page.token
        if not token:
            return


def connect(home: Path) -> tuple[MlflowClient, str]:
    """Return a client and the experiment's id, creating the store on first use.

    Parameters
    ----------
    home
        Home folder: holds the store unless `$MLFLOW_TRACKING_URI` names one.

    Raises
    ------
    UserError
        If the store does not answer, or the experiment of a shared store is deleted.
    """
    # Read when mlflow is imported: no telemetry is sent.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    # Detect within seconds that a server is down; the outbox keeps the records.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    # No draws from Python's global generator: a method that is fitted meanwhile may use it.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")
    import mlflow
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    uri = tracking_uri(home)
    home.mkdir(parents=True, exist_ok=True)
    path = _file(uri)
    # MLflow's default is a folder of the current directory.
    location = None if path is None else _artifacts(path)
    try:
        if path is not None:
            _create(path)
        client = MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            # Another process may have created it in the meantime.
            with contextlib.suppress(mlflow.exceptions.MlflowException):
                client.create_experiment(EXPERIMENT, artifact_location=location)
            experiment = client.get_experiment_by_name(EXPERIMENT)
        if experiment.lifecycle_stage == "deleted":
            _restore(client, experiment)
        if path is not None and not shared_uri():
            _relocate(path, experiment)
        return client, str(experiment.experiment_id)
    except (mlflow.exceptions.MlflowException, OSError) as error:
        raise _silent(uri, error) from error


def _restore(client: MlflowClient, experiment: Experiment) -> None:
    """Restore a deleted experiment of the home's own store.

    Raises
    ------
    UserError
        If the store is shared: another user may have deleted it on purpose.
    """
    number = experiment.experiment_id
    if shared_uri():
        raise UserError(
            f"the experiment '{EXPERIMENT}' in {client.tracking_uri} was deleted; restore it by "
            f"`mlflow experiments restore --experiment-id {number}`"
        )
    client.restore_experiment(number)
    _LOG.warning("warning: the MLflow experiment '%s' was deleted, and is restored", EXPERIMENT)


def _relocate(path: Path, experiment: Experiment) -> None:
    """Let the artifacts of a home's own store lie in the home, wherever it was moved to.

    MLflow stores absolute addresses and has no function that changes them.
    """
    before, after = experiment.artifact_location, _artifacts(path)
    if before == after:
        return
    with contextlib.closing(sqlite3.connect(path, timeout=60)) as database, database:
        database.execute(
            "UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?",
            (after, int(experiment.experiment_id)),
        )
        database.execute(
            "UPDATE runs SET artifact_uri = ? || substr(artifact_uri, ?) "
            "WHERE experiment_id = ? AND substr(artifact_uri, 1, ?) = ?",
            (after, len(before) + 1, int(experiment.experiment_id), len(before) + 1, f"{before}/"),
        )


def _artifacts(path: Path) -> str:
    """Return the address of the artifacts of a sqlite store."""
    return (path.absolute().parent / "artifacts").as_uri()


def _silent(uri: str, error: Exception) -> UserError:
    reason = " ".join(str(error).split())[:300]
    if "migrate-filestore" in reason:
        return UserError(
            f"MLflow no longer writes to folders such as {uri}: unset MLFLOW_TRACKING_URI to use "
            "the home's store, or convert the folder by `mlflow migrate-filestore`"
        )
    return UserError(f"the MLflow store at {uri} does not answer: {reason}")
