"""An empty MLflow store that homes of tests are copied from: to create one takes seconds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock


def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store without an experiment; all workers of a run share it."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    path = base / "empty" / "mlflow.db"
    path.parent.mkdir(exist_ok=True)
    with FileLock(base / "empty.lock"):
        if not path.exists():
            new = path.with_name("new.db")
            code = (
                "import sys; from mlflow import MlflowClient; "
                "MlflowClient(tracking_uri=sys.argv[1]).get_experiment_by_name('harmbench')"
            )
            subprocess.run(
                [sys.executable, "-c", code, f"sqlite:///{new}"],
                check=True,
                capture_output=True,
                env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"},
            )
            new.replace(path)
    return path


def add_store(store: Path, home: Path) -> Path:
    """Create a home folder with a copy of a store, and return it."""
    home.mkdir(parents=True, exist_ok=True)
    if not (home / store.name).exists():
        shutil.copyfile(store, home / store.name)
    return home
