"""`harmbench report` and `harmbench ui`: what they make of cells that were run."""

from __future__ import annotations

import json
import socket
import time
import urllib.parse
import urllib.request

import numpy as np
import pytest

from harmbench.data.cohort import Cohort
from harmbench.errors import UserError
from harmbench.tracking.connection import connect, tracking_uri
from harmbench.tracking.ui import VIEW, prepare, serve
from helpers import TINY_COHORT

# MLflow's own imports warn of what it will mend itself.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def ran(inside, tmp_path):
    """Cells of three methods on two tasks, one of them skipped."""
    code, _, errors = inside(
        "run", "-m", "identity", "-m", "histogram", "-m", "oracle", "-t", "domain1",
        "-t", "site-elsewhere", *TINY_COHORT,
    )  # fmt: skip
    assert code == 0, errors
    return tmp_path / "home"


def test_the_report_is_written_from_what_was_run(ran, inside, tmp_path):
    code, told, _ = inside("report", "-o", tmp_path / "out")
    assert code == 0
    assert told == f"7 pages written; open {tmp_path / 'out' / 'index.html'}\n"
    (page,) = (tmp_path / "out").glob("tiny-*/task-domain1.html")
    assert "harmbench run -m identity -m histogram" in page.read_text()
    # Of methods; the controls are the source and the reference themselves.
    pictures = {path.name for path in page.parent.glob("images/task-domain1-*.png")}
    assert pictures == {
        f"task-domain1-{name}.png"
        for name in ("source", "source-difference", "0", "0-difference", "reference")
    }


def test_the_experiment_is_described_and_the_best_fit_harmonises_as_the_method_did(
    ran, monkeypatch, tmp_path
):
    ready = prepare({"psnr": "dB"})
    client, experiment = connect()
    tags = client.get_experiment(experiment).tags
    note = tags["mlflow.note.content"]
    assert "### psnr [dB], higher is better: tiny, **real scans**, quick preset" in note
    assert "| task | oracle (ceiling) | histogram | identity (floor) |" in note
    shown = json.loads(tags[f"mlflow.sharedViewState.{VIEW}"])
    assert "metrics.`psnr`" in shown["selectedColumns"]
    found = client.search_runs([experiment], shown["searchFilter"])
    assert len(found) == 6

    # Every method once, on one task; the page is told them in MLflow's own way.
    names = [client.get_run(run).info.run_name for run in ready.runs]
    assert names == [f"{m} on domain1, seed 0" for m in ("oracle", "histogram", "identity")]
    address = urllib.parse.unquote(ready.compare("http://here"))
    assert address == (
        f"http://here/#/compare-runs?runs={json.dumps(ready.runs, separators=(',', ':'))}"
        f'&experiments=["{experiment}"]'
    )
    assert ready.page("http://here").endswith(
        f"/experiments/{experiment}/runs?viewStateShareKey={VIEW}"
    )

    import mlflow

    name = "harmbench-tiny-quick-domain1"
    known = client.get_model_version_by_alias(name, "best")
    assert known.tags["kind"] == "real"
    assert known.description.startswith("histogram, seed 0: the best fit on domain1")
    # As a user would have it, who loads a model from anywhere.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_uri())
    model = mlflow.pyfunc.load_model(f"models:/{name}@best")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert [path.name for path in tmp_path.iterdir()] == ["home"]  # MLflow left nothing behind
    # The run itself kept slices of what it harmonised.
    (kept,) = [
        np.load(path.with_name("slices.npz"))
        for path in (ran / "cells").glob("*/result.json")
        if json.loads(path.read_text())["cell"]["label"] == "histogram"
        and json.loads(path.read_text())["cell"]["task"] == "domain1"
    ]
    (cohort,) = (ran / "cohorts").glob("tiny-*")
    test = Cohort(cohort).scans("domain1", "test")
    for subject, expected in zip(kept["people"], kept["harmonized"], strict=True):
        images = test.load([test.subjects.index(subject)]).images.numpy()
        harmonized = model.predict(images)
        assert harmonized.dtype == np.float32
        levels = np.round(harmonized[0, kept["slices"]] * 255)
        assert np.array_equal(np.rot90(levels, axes=(1, 2)), expected)
    with pytest.raises(Exception, match="shape"):
        model.predict(images[:, :, :-1])

    # Nothing is better than it was: there is no second version.
    assert prepare({"psnr": "dB"}).lines == ready.lines[:1]


def test_there_is_nothing_to_open_before_anything_was_run(mistake):
    assert "harmbench run -m identity" in mistake("ui", "--no-browser")
    assert "harmbench run -m identity" in mistake("report")


def test_a_port_that_is_taken_is_told(ran):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(UserError, match=f"127.0.0.1:{port} cannot be listened on"),
            serve("127.0.0.1", port),
        ):
            pass


@pytest.mark.slow
def test_the_server_has_the_experiment_and_ends_with_the_command(ran, start):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = start("ui", "--no-browser", "--no-models", "--port", port)
    address = f"http://127.0.0.1:{port}"
    try:
        for line in process.stdout:
            if line.startswith("open: "):
                break
        assert line.startswith(f"open: {address}/#/experiments/")
        query = f"{address}/api/2.0/mlflow/experiments/get-by-name?experiment_name=harmbench"
        with urllib.request.urlopen(query) as answer:
            assert b"mlflow.note.content" in answer.read()
    finally:
        process.terminate()
        process.communicate()
    time.sleep(1)
    with socket.socket() as free:
        assert free.connect_ex(("127.0.0.1", port)) != 0
