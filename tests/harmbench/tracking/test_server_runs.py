"""Runs of a shared store, read through MLflow's client."""

from __future__ import annotations

import math
import os
import socket
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from harmbench.contracts.cell import Cell, CellResult, Status
from harmbench.contracts.fit_progress import CurvePoint
from harmbench.statistics.estimate import Estimate, estimates
from harmbench.statistics.subjects import decode
from harmbench.store.result_table import RecordedRuns
from harmbench.store.results import ResultsStore
from harmbench.tracking import server_runs
from harmbench.tracking.connection import connect, search
from harmbench.tracking.recorder import MlflowRecorder

pytestmark = pytest.mark.filterwarnings("default")

COMMAND = "harmbench run -m some"
MANY = [f"subject-{i:04d}" for i in range(1500)]


def cell(key, **changes):
    values = {
        "method": "some",
        "label": "some",
        "task": "thing",
        "cohort": "tiny",
        "seed": 3,
        "preset": "quick",
        "kind": "real",
        "cohort_key": "c0",
        "key": key,
    }
    return Cell(**{**values, **changes})


def result(subjects=("p", "q"), **facts):
    rows = [(name, "1", -1, "psnr", float(i)) for i, name in enumerate(subjects)]
    scores = pd.DataFrame(rows, columns=["subject", "scan", "slice", "metric", "value"])
    # A NaN without values by subject, next to the mean over subjects.
    numbers = estimates(scores) | {"icc": Estimate(0.8, 0.7, math.inf, 9)}
    return CellResult(
        status=Status.DONE,
        scores=scores,
        estimates=numbers,
        facts={"fit_seconds": 2.5, **facts},
        curves=(CurvePoint(1, "loss", 5.0), CurvePoint(2, "loss", 4.0)),
    )


def mirror(home, *cells_and_results):
    recorder = MlflowRecorder(home, "harmbench run")
    for which, ended in cells_and_results:
        record = ended.record or f"record of {which.key}"
        recorder.record(which, replace(ended, record=record), COMMAND)
    recorder.close(failed=False)


def read(home):
    return RecordedRuns(server_runs.table(home))


def by_cell(home):
    return read(home).runs().set_index("cell")


@pytest.fixture(scope="module")
def home(tmp_path_factory, home_with_store):
    """A home, and a sqlite store elsewhere that `$MLFLOW_TRACKING_URI` names."""
    shared = home_with_store(tmp_path_factory.mktemp("shared")) / "mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{shared}")
        home = tmp_path_factory.mktemp("home")
        bounds = {"held-out": {"psnr": {"mean": 9.0, "low": 8.0, "high": "inf", "n": 3}}}
        settings = {"alpha": 2}
        few = cell("few", normalization="nyul", settings=settings)
        mirror(
            home,
            (few, result(bounds=bounds, headline=["psnr"])),
            (cell("many"), result(MANY)),
            (cell("skip"), CellResult(status=Status.SKIPPED, reason="no pairs")),
        )
        yield home


def test_a_table_has_all_of_every_run(home):
    runs = read(home)
    assert (runs.metrics, runs.headlines) == (("icc", "psnr"), ("psnr",))
    table = runs.runs().set_index("cell")
    few, skip = table.loc["few"], table.loc["skip"]
    assert few["run_id"] == "record of few"
    assert (few["psnr"], few["icc"], few["icc.high"]) == (0.5, 0.8, math.inf)
    # Two subjects: Student's quantile with one degree of freedom is 12.7.
    assert few["psnr.low"] == pytest.approx(0.5 - 12.706205 * 0.5)
    assert (few["seed"], few["label"], few["status"]) == (3, "some", "done")
    assert few["fit_seconds"] == 2.5
    assert (few["normalization"], skip["normalization"]) == ("nyul", "")
    assert few["bounds"]["held-out"]["psnr"]["high"] == "inf"
    assert decode(few["subjects"], few["psnr.subjects"])[0] == ("p", "q")
    assert few["icc.subjects"] == skip["psnr.subjects"] == ""
    assert (skip["status"], skip["reason"]) == ("skipped", "no pairs")
    assert math.isnan(skip["psnr"])
    origin = runs.provenance()["record of few"]
    assert (origin.command, origin.settings) == (COMMAND, {"some.alpha": "2"})
    assert {"harmbench", "torch", "python"} <= origin.environment.keys()


def test_a_run_has_the_same_columns_as_its_record(home, tmp_path):
    """The two paths of a result, to the board through the home and through MLflow, agree."""
    which = cell("same", settings={"alpha": 2})
    with ResultsStore(tmp_path / "results").writer(COMMAND) as writer:
        recorded = writer.append(which, result(headline=["psnr"], device="cpu"))
    recorder = MlflowRecorder(home, COMMAND)
    recorder.record(which, recorded, COMMAND)
    recorder.close(failed=False)
    own = RecordedRuns(ResultsStore(tmp_path / "results").table())
    others = read(home)
    table = others.runs()
    theirs = table[table["cell"] == "same"].reset_index(drop=True)
    differ = ["started", "mlflow_run"]
    pd.testing.assert_frame_equal(own.runs().drop(columns=differ), theirs.drop(columns=differ))
    assert own.provenance()[recorded.record] == others.provenance()[recorded.record]


def test_more_subjects_than_one_tag_holds_are_read_back(home):
    client, _ = connect(home)
    row = by_cell(home).loc["many"]
    tags = client.get_run(row["mlflow_run"]).data.tags
    assert {"subjects/1", "subjects/2"} <= set(tags)
    assert max(map(len, tags.values())) <= 8000
    names, values = decode(row["subjects"], row["psnr.subjects"])
    assert names == tuple(MANY)
    assert values.tolist() == np.arange(1500).tolist()


def test_a_run_with_further_metrics_replaces_the_earlier_run_of_the_cell(home):
    metrics = {"psnr": {"version": "1", "key": "k1"}}
    one = result(metrics=metrics)
    more = result(metrics=metrics | {"mae": {"version": "3", "key": "k3"}})
    two = replace(more, record="record of both metrics")
    measured = cell("measured", question="q1")
    mirror(home, (measured, one), (measured, one))
    first = by_cell(home).loc["measured"]
    mirror(home, (measured, two), (measured, two))
    second = by_cell(home).loc["measured"]
    assert first["mlflow_run"] != second["mlflow_run"]
    assert (first["question"], second["question"]) == ("q1", "q1")
    assert first["metric_versions"] == {"psnr": "1"}
    assert second["metric_versions"] == {"psnr": "1", "mae": "3"}


def test_files_of_a_run_are_fetched_once(home):
    row = by_cell(home).loc["few"]
    assert server_runs.artifact(home, row["run_id"], "figure.png") is None
    assert server_runs.artifact(home, "no such record", "figure.png") is None
    client, _ = connect(home)
    client.log_text(row["mlflow_run"], "boom", "traceback.txt")
    path = server_runs.artifact(home, row["run_id"], "traceback.txt")
    assert path.read_text() == "boom"
    path.write_text("the copy")
    assert server_runs.artifact(home, row["run_id"], "traceback.txt").read_text() == "the copy"


def test_only_new_runs_are_requested_whatever_their_number(home, monkeypatch):
    requested = []

    def noted(*arguments, deleted=False):
        for run in search(*arguments, deleted=deleted):
            if not deleted:
                requested.append(run.data.tags["cell"])
            yield run

    monkeypatch.setattr(server_runs, "_MOST_EXCLUDED", 1)
    monkeypatch.setattr(server_runs, "search", noted)
    known = set(by_cell(home).index)
    assert len(known) >= 3
    requested.clear()
    assert set(by_cell(home).index) == known
    assert requested == []
    mirror(home, (cell("new"), result()))
    assert set(by_cell(home).index) == known | {"new"}
    assert requested == ["new"]


def test_a_deleted_run_is_gone_and_a_damaged_copy_is_made_again(home, caplog):
    mirror(home, (cell("doomed"), result()))
    before = by_cell(home)
    client, _ = connect(home)
    client.delete_run(before.loc["doomed", "mlflow_run"])
    assert set(by_cell(home).index) == set(before.index) - {"doomed"}
    (copy,) = (home / "recorded").glob("*.parquet")
    copy.write_bytes(copy.read_bytes()[:-50])
    assert set(by_cell(home).index) == set(before.index) - {"doomed"}
    assert "is damaged and made again" in caplog.text


def test_runs_of_another_schema_are_left_out_with_one_line(home, caplog):
    client, experiment = connect(home)
    for summary in ('{"schema": 99}', "{}", "no JSON"):
        tags = {"role": "cell", "cell": "foreign", "summary": summary}
        client.set_terminated(client.create_run(experiment, tags=tags).info.run_id)
    assert "foreign" not in by_cell(home).index
    assert "3 runs of sqlite" in caplog.text


@pytest.fixture
def server(tmp_path):
    """A real MLflow server in a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--port",
            str(port),
            "--workers",
            "1",
            "--backend-store-uri",
            f"sqlite:///{tmp_path / 'server.db'}",
            "--artifacts-destination",
            str(tmp_path / "files"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
    )
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
def test_only_new_runs_are_requested_from_a_server(server, tmp_path, monkeypatch):
    home = tmp_path / "mine"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    assert read(home).runs().empty
    mirror(home, (cell("one"), result()), (cell("many"), result(MANY)))
    first = by_cell(home)
    client, _ = connect(home)
    client.delete_run(first.loc["one", "mlflow_run"])
    mirror(home, (cell("two"), result()))
    assert by_cell(home).index.tolist() == ["many", "two"]
    (kept,) = (home / "recorded").glob("*.parquet")
    assert set(pd.read_parquet(kept)["cell"]) == {"many", "two"}
    client.log_text(first.loc["many", "mlflow_run"], "boom", "traceback.txt")
    path = server_runs.artifact(home, "record of many", "traceback.txt")
    assert path.read_text() == "boom"
