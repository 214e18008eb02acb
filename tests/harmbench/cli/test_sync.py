"""`harmbench sync`, as a user calls it."""

from __future__ import annotations

import shutil

import pytest

from harmbench.store.results import ResultsStore
from harmbench.tracking.connection import connect, search
from harmbench.tracking.reader import runs
from helpers import TINY_COHORT

# MLflow's imports raise deprecation warnings.
pytestmark = pytest.mark.filterwarnings("default")


def test_a_lost_results_store_is_made_again_from_the_stored_cells(inside, tmp_path):
    home = tmp_path / "home"
    code, _, errors = inside("run", "-m", "identity", "-m", "oracle", "-t", "domain1", *TINY_COHORT)
    assert code == 0, errors
    before = runs(home)
    shutil.rmtree(home / "results")
    assert runs(home).empty
    code, out, _ = inside("sync")
    assert (code, out) == (
        0,
        "2 stored cells had no record and now have one\n0 cells recorded in MLflow, 0 waiting\n",
    )
    after = runs(home)
    columns = ["run_id", "label", "psnr", "psnr.subjects", "device"]
    one, other = (
        table.sort_values("label")[columns].reset_index(drop=True) for table in (before, after)
    )
    assert one.equals(other)
    # The results are as old as they were.
    assert (after["started"] <= before["started"].max()).all()
    assert inside("sync")[1] == "0 cells recorded in MLflow, 0 waiting\n"
    assert len(ResultsStore(home / "results").ids()) == 2


def test_after_an_error_the_mlflow_run_has_ended_as_failed(inside, tmp_path, monkeypatch):
    home = tmp_path / "home"
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # the port that discards
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        code, out, errors = inside("run", "-m", "identity", "-t", "domain1", *TINY_COHORT)
        assert (code, "1 waiting for MLflow" in out) == (0, True), errors
    # The record that waits is sent; then nothing can be recorded.
    shutil.rmtree(home / "results")
    (home / "results").write_text("no folder")
    code, _, errors = inside("sync")
    assert code == 2
    assert "cannot be recorded" in errors
    (run,) = search(*connect(home), "tags.role = 'invocation'")
    assert run.info.status == "FAILED"
