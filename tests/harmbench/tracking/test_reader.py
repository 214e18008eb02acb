"""Reading from the sqlite file and from a server, with equal results."""

from __future__ import annotations

import math
import os
import socket
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from harmbench.contracts.cell import Cell, CellResult, Status
from harmbench.contracts.fit_progress import CurvePoint
from harmbench.statistics.estimate import Estimate, estimates
from harmbench.statistics.subjects import decode
from harmbench.tracking import reader
from harmbench.tracking.connection import connect
from harmbench.tracking.recorder import MlflowRecorder

pytestmark = pytest.mark.filterwarnings("default")

MANY = [f"subject-{i:04d}" for i in range(1500)]


def cell(key, **changes):
    values = {
        "method": "some", "label": "some", "task": "thing", "cohort": "tiny", "seed": 3,
        "preset": "quick", "kind": "real", "cohort_key": "c0", "key": key,
    }  # fmt: skip
    return Cell(**{**values, **changes})


def result(subjects=("p", "q"), **facts):
    rows = [(name, "1", -1, "psnr", float(i)) for i, name in enumerate(subjects)]
    scores = pd.DataFrame(rows, columns=["subject", "scan", "slice", "metric", "value"])
    # A NaN without values by subject, next to the mean over subjects.
    numbers = estimates(scores) | {"icc": Estimate(0.8, 0.7, math.inf, 9)}
    return CellResult(
        status=Status.DONE, scores=scores, estimates=numbers, facts={"fit_seconds": 2.5, **facts},
        curves=(CurvePoint(1, "loss", 5.0), CurvePoint(2, "loss", 4.0)),
    )  # fmt: skip


def record(home, *cells_and_results):
    recorder = MlflowRecorder(home, "harmbench run")
    for which, came_to in cells_and_results:
        recorder.record(which, came_to, which.key)
    recorder.close(failed=False)


@pytest.fixture(scope="module")
def home(tmp_path_factory, home_with_store):
    with pytest.MonkeyPatch.context() as patch:
        home = home_with_store(tmp_path_factory.mktemp("home"))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        bounds = {"held-out": {"psnr": {"mean": 9.0, "low": 8.0, "high": "inf", "n": 3}}}
        record(
            home,
            (cell("few", normalization="nyul"), result(bounds=bounds, headline=["psnr"])),
            (cell("many"), result(MANY)),
            (cell("skip"), CellResult(status=Status.SKIPPED, reason="no pairs")),
        )
        yield home


def test_a_table_has_all_of_every_run(home):
    store = reader.read(home)
    assert (store.metrics, store.headlines) == (("icc", "psnr"), ("psnr",))
    table = store.runs().set_index("cell")
    few, skip = table.loc["few"], table.loc["skip"]
    assert (few["psnr"], few["icc"], few["icc.high"]) == (0.5, 0.8, math.inf)
    # Two subjects: Student's quantile with one degree of freedom is 12.7.
    assert few["psnr.low"] == pytest.approx(0.5 - 12.706205 * 0.5)
    assert (few["seed"], few["label"], few["status"], few["fit_seconds"]) == (
        3,
        "some",
        "done",
        2.5,
    )
    assert (few["normalization"], skip["normalization"]) == ("nyul", "")
    assert few["bounds"]["held-out"]["psnr"]["high"] == "inf"
    assert decode(few["subjects"], few["psnr.subjects"])[0] == ("p", "q")
    assert few["icc.subjects"] == skip["psnr.subjects"] == ""
    assert (skip["status"], skip["reason"]) == ("skipped", "no pairs")
    assert math.isnan(skip["psnr"])


def test_metrics_that_are_not_asked_for_are_not_read(home):
    assert {"psnr", "psnr.subjects"} <= set(reader.runs(home, ["psnr"]).columns)
    assert "icc" not in reader.runs(home, ["psnr"])


def test_more_subjects_than_one_tag_holds_are_read_back(home):
    client, _ = connect(home)
    row = reader.runs(home).set_index("cell").loc["many"]
    tags = client.get_run(row["run_id"]).data.tags
    assert {"subjects/1", "subjects/2"} <= set(tags)
    assert max(map(len, tags.values())) <= 8000
    names, values = decode(row["subjects"], row["psnr.subjects"])
    assert names == tuple(MANY)
    assert values.tolist() == np.arange(1500).tolist()


def test_a_run_with_further_metrics_replaces_the_earlier_run_of_the_cell(home):
    metrics = {"psnr": {"version": "1", "key": "k1"}}
    one = result(metrics=metrics)
    two = result(metrics=metrics | {"mae": {"version": "3", "key": "k3"}})
    measured = cell("measured", question="q1")
    record(home, (measured, one), (measured, one))
    (first,) = reader.runs(home, []).query("cell == 'measured'").to_dict("records")
    record(home, (measured, two), (measured, two))
    (second,) = reader.runs(home, []).query("cell == 'measured'").to_dict("records")
    assert first["run_id"] != second["run_id"]
    assert (first["question"], second["question"]) == ("q1", "q1")
    assert first["metric_versions"] == {"psnr": "1"}
    assert second["metric_versions"] == {"psnr": "1", "mae": "3"}


def test_a_later_success_replaces_an_earlier_failure(home):
    repaired = cell("repaired", question="q1")
    record(home, (repaired, CellResult(status=Status.FAILED, reason="boom")), (repaired, result()))
    (row,) = reader.runs(home, []).query("cell == 'repaired'").to_dict("records")
    assert (row["status"], row["question"]) == ("done", "q1")


def test_files_of_a_run_can_be_fetched(home):
    run_id = reader.runs(home, []).set_index("cell").loc["few", "run_id"]
    assert reader.artifact(home, run_id, "figure.png") is None
    client, _ = connect(home)
    client.log_text(run_id, "boom", "traceback.txt")
    assert reader.artifact(home, run_id, "traceback.txt").read_text() == "boom"


def test_the_client_and_the_file_give_the_same_runs(home, monkeypatch):
    from_file = reader.runs(home)
    # With a parameter it is no plain file any more.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home / 'mlflow.db'}?timeout=30")
    pd.testing.assert_frame_equal(reader.runs(home), from_file)


def test_a_file_that_is_no_store_is_left_to_the_client(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "mlflow.db").touch()
    # Which makes one of it.
    assert reader.runs(tmp_path).empty
    assert (tmp_path / "mlflow.db").stat().st_size > 0


@pytest.fixture
def server(tmp_path):
    """A real MLflow server in a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1",
         "--backend-store-uri", f"sqlite:///{tmp_path / 'server.db'}",
         "--artifacts-destination", str(tmp_path / "files")],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
    )  # fmt: skip
    end = time.monotonic() + 200
    while True:
        assert process.poll() is None
        assert time.monotonic() < end
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            time.sleep(0.5)
    yield address
    os.killpg(process.pid, 15)
    process.wait()


@pytest.mark.slow
def test_a_server_gives_the_same_runs_and_only_new_runs_are_requested(
    server, tmp_path, monkeypatch
):
    home = tmp_path / "mine"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    assert reader.runs(home).empty
    record(home, (cell("one"), result()), (cell("many"), result(MANY)))
    first = reader.runs(home)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'server.db'}")
    pd.testing.assert_frame_equal(first, reader.runs(home))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    client, _ = connect(home)
    client.delete_run(first["run_id"][0])
    record(home, (cell("two"), result()))
    assert reader.runs(home)["cell"].tolist() == ["many", "two"]
    (kept,) = (home / "recorded").glob("*.parquet")
    assert pd.read_parquet(kept)["run_id"].nunique() == 2
    client.log_text(first["run_id"][1], "boom", "traceback.txt")
    assert reader.artifact(home, first["run_id"][1], "traceback.txt").read_text() == "boom"
