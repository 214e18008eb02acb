"""MLflow's model registry: the best fit of each task, to be loaded and given an array."""

from __future__ import annotations

import json
import math
import os
import re
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harmbench.data.scan_kind import kind_of_scans
from harmbench.leaderboard.table import Board, Row
from harmbench.store.stores import FitStore
from harmbench.tracking.connection import connect
from harmbench.util.home import home

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

ALIAS = "best"
_DIGIT = 6


@dataclass(frozen=True)
class Best:
    """The best fit of a task.

    Attributes
    ----------
    model
        Name in the registry.
    label, task, seed, metric, value
        What it is best at, and how good.
    fit, cell, run_id
        Keys of the fit and of the cell that was scored, and its run.
    kind
        `"phantom"` or `"real"`.
    """

    model: str
    label: str
    task: str
    seed: int
    metric: str
    value: float
    fit: str
    cell: str
    run_id: str
    kind: str
    cohort: str

    @property
    def words(self) -> str:
        """What it is, in a line."""
        return (
            f"{self.label}, seed {self.seed}: the best fit on {self.task} of cohort "
            f"{self.cohort} [{kind_of_scans(self.kind)}] by {self.metric}, {self.value:.{_DIGIT}g}"
        )


def best_fits(board: Board, runs: pd.DataFrame) -> Iterator[Best]:
    """Choose the best fit of each task among methods that learn; controls do not count.

    Of the method with the best mean over subjects and seeds, the best seed.

    Parameters
    ----------
    board
        Of the metric to choose by.
    runs
        The table of runs.
    """
    by_id = runs.set_index("run_id")
    sign = 1 if board.higher_is_better else -1
    for task in board.tasks:
        fitted = [row for row in board.methods if _is_fitted(row, task, by_id)]
        if not fitted:
            continue
        row = max(fitted, key=lambda row: sign * row.scores[task].value)
        score = row.scores[task]
        seed = max(score.by_seed, key=lambda seed: sign * score.by_seed[seed])
        run = by_id.loc[score.runs[seed]]
        yield Best(
            model_name(board.cohort, board.preset, task), row.label, task, seed, board.metric,
            score.by_seed[seed], str(run["fit"]), str(run["cell"]), score.runs[seed], board.kind,
            board.cohort,
        )  # fmt: skip


def _is_fitted(row: Row, task: str, by_id: pd.DataFrame) -> bool:
    score = row.scores.get(task)
    if score is None or not math.isfinite(score.value):
        return False
    return all(by_id.loc[run, "fit"] for run in score.runs.values())


def model_name(cohort: str, preset: str, task: str) -> str:
    """Name a task's model; MLflow allows no slashes and colons in names.

    Examples
    --------
    >>> model_name("phantom:12", "quick", "domain3")
    'harmbench-phantom-12-quick-domain3'
    """
    return "-".join(
        [
            "harmbench",
            *(re.sub(r"[^\w.]+", "-", part).strip("-") for part in (cohort, preset, task)),
        ]
    )


def register(found: Sequence[Best]) -> list[tuple[Best, int]]:
    """Register fits whose files are here and which the registry does not have yet.

    Returns
    -------
    list
        Those that were registered, each with the version it became.
    """
    client, _ = connect()
    # Read whenever files are copied; what is copied here is small.
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    missing = [one for one in found if _stored(one) and not _has(client, one)]
    return [(one, _register(client, one)) for one in missing]


def _stored(best: Best) -> bool:
    return FitStore(home() / "fits").has(best.fit) and _cell(best).exists()


def _cell(best: Best) -> Path:
    return home() / "cells" / best.cell / "result.json"


def _has(client: MlflowClient, best: Best) -> bool:
    """Whether the version that is called the best is this very one."""
    from mlflow.exceptions import MlflowException

    try:
        known = client.get_model_version_by_alias(best.model, ALIAS)
    except MlflowException:
        return False
    return (known.tags.get("fit"), known.tags.get("cell")) == (best.fit, best.cell)


def _register(client: MlflowClient, best: Best) -> int:
    """Store the model beside the cell's run, and make it the newest version."""
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder) / "model", best.fit, best.cell)
        client.log_artifacts(best.run_id, str(Path(folder) / "model"), "model")
    try:
        client.create_registered_model(best.model, description=_DESCRIPTION)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    made = client.create_model_version(
        best.model,
        source=f"{client.get_run(best.run_id).info.artifact_uri}/model",
        run_id=best.run_id,
        tags={"fit": best.fit, "cell": best.cell, "metric": best.metric, "kind": best.kind},
        description=best.words,
    )
    client.set_registered_model_alias(best.model, ALIAS, made.version)
    return int(made.version)


def save(folder: Path, fit: str, cell: str) -> None:
    """Write a stored fit as an MLflow model.

    Parameters
    ----------
    folder
        New folder.
    fit, cell
        Keys of the fit, and of a cell that used it, whose settings it is to have.
    """
    import mlflow.pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import Schema

    from harmbench.tracking import pyfunc_model as pyfunc

    store = FitStore(home() / "fits")
    shape = _grid_shape(store.path(fit))
    images = _tensor((-1, *shape))
    files = {"fit": store.path(fit), "cell": home() / "cells" / cell / "result.json"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it would like an example of the input, of some MB
        mlflow.pyfunc.save_model(
            str(folder),
            python_model=pyfunc.__file__,
            artifacts={name: str(path) for name, path in files.items()},
            signature=ModelSignature(inputs=Schema([images]), outputs=Schema([images])),
            pip_requirements=[f"harmbench=={version('harmbench')}"],
        )


def _grid_shape(fit: Path) -> tuple[int, int, int]:
    S, H, W = json.loads((fit / "fit.json").read_text())["grid"]["shape"]
    return S, H, W


def _tensor(shape: tuple[int, ...]) -> Any:
    from mlflow.types import TensorSpec

    return TensorSpec(np.dtype(np.float32), shape)


_DESCRIPTION = """The best fit of a harmbench task; the alias `best` is the newest.

    import mlflow
    model = mlflow.pyfunc.load_model("models:/NAME@best")
    harmonised = model.predict(scans)

`scans` is a float32 array (N, S, H, W) in [0, 1] on the grid of the fit: normalised as the cohort
was, and 0 outside the brain. Loading needs harmbench, and the plugin that the method is from.
"""
