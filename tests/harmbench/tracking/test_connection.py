"""The store is there as a whole, or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from harmbench.tracking.connection import connect


@pytest.mark.parametrize(
    "size",
    [
        pytest.param(1, marks=pytest.mark.slow),
        100_000,
        pytest.param(300_000, marks=pytest.mark.slow),
    ],
)
def test_an_incompletely_created_store_is_created_again(tmp_path, monkeypatch, size):
    home = tmp_path / "home"
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    code = (
        "import pathlib, sys; from harmbench.tracking.connection import connect; "
        "connect(pathlib.Path(sys.argv[1]))"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(home)], env=os.environ)
    new = home / ".mlflow.db.new"
    while process.poll() is None and not (new.exists() and new.stat().st_size >= size):
        time.sleep(0.001)
    assert process.poll() is None, "it was too quick to be killed"
    process.kill()
    process.wait()
    assert not (home / "mlflow.db").exists()
    client, experiment = connect(home)
    assert (home / "mlflow.db").exists()
    assert not new.exists()
    run = client.create_run(experiment, run_name="first")
    assert client.get_run(run.info.run_id).info.run_name == "first"
    assert client.get_experiment(experiment).artifact_location == (home / "artifacts").as_uri()
