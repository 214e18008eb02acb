"""The store is there as a whole, or not at all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harmbench.errors import UserError
from harmbench.tracking.connection import connect

# MLflow's imports raise deprecation warnings.
pytestmark = pytest.mark.filterwarnings("default")


def assert_created(home):
    client, experiment = connect(home)
    assert (home / "mlflow.db").exists()
    assert not (home / ".mlflow.db.new").exists()
    run = client.create_run(experiment, run_name="first")
    assert client.get_run(run.info.run_id).info.run_name == "first"
    assert client.get_experiment(experiment).artifact_location == (home / "artifacts").as_uri()


def test_an_incomplete_store_is_created_again(tmp_path, monkeypatch, home_with_store):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    home = home_with_store(tmp_path / "home")
    content = (home / "mlflow.db").read_bytes()
    (home / "mlflow.db").unlink()
    (home / ".mlflow.db.new").write_bytes(content[:100_000])
    assert_created(home)


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 100_000, 300_000])
def test_a_killed_creation_is_repeated(tmp_path, monkeypatch, size):
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
    assert_created(home)


def test_the_deleted_experiment_of_a_home_is_restored(tmp_path, monkeypatch, home_with_store):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    home = home_with_store(tmp_path / "home")
    client, experiment = connect(home)
    run = client.create_run(experiment)
    client.delete_experiment(experiment)
    client, again = connect(home)
    assert again == experiment
    assert client.get_run(run.info.run_id).info.lifecycle_stage == "active"
    client.create_run(experiment)


def test_the_deleted_experiment_of_a_shared_store_is_named_with_its_cure(
    tmp_path, monkeypatch, home_with_store
):
    uri = f"sqlite:///{home_with_store(tmp_path / 'shared') / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    client, experiment = connect(tmp_path / "home")
    client.delete_experiment(experiment)
    with pytest.raises(UserError, match=f"restore it by .*--experiment-id {experiment}"):
        connect(tmp_path / "home")
    assert client.get_experiment(experiment).lifecycle_stage == "deleted"


def test_a_moved_home_writes_nothing_to_its_old_location(tmp_path, monkeypatch, home_with_store):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    before, after = home_with_store(tmp_path / "before"), tmp_path / "after"
    client, experiment = connect(before)
    old = client.create_run(experiment).info.run_id
    client.log_text(old, "first", "note.txt")
    shutil.move(before, after)
    client, experiment = connect(after)
    new = client.create_run(experiment).info.run_id
    client.log_text(new, "second", "note.txt")
    assert not before.exists()
    for run, text in ((old, "first"), (new, "second")):
        (path,) = (after / "artifacts" / run).rglob("note.txt")
        assert path.read_text() == text
        assert Path(client.download_artifacts(run, "note.txt")).read_text() == text


def test_a_folder_as_store_is_refused_with_the_cure(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "./mlruns")
    with pytest.raises(UserError, match="unset MLFLOW_TRACKING_URI.*migrate-filestore") as caught:
        connect(tmp_path / "home")
    assert len(str(caught.value)) < 250
