"""Recording in a real MLflow store."""

from __future__ import annotations

import dataclasses
import math
import os
import platform
import subprocess
import sys

import pandas as pd
import pytest

from harmbench.contracts.cell import Cell, CellResult, Status
from harmbench.contracts.fit_progress import CurvePoint
from harmbench.statistics.estimate import Estimate
from harmbench.store.stores import CellStore
from harmbench.tracking.connection import connect
from harmbench.tracking.recorder import MlflowRecorder

# MLflow's imports raise deprecation warnings.
pytestmark = pytest.mark.filterwarnings("default")

COMMAND = "harmbench run -m some -t thing"


@pytest.fixture(scope="module")
def home(tmp_path_factory, home_with_store):
    """One MLflow store for the module: making one takes seconds."""
    return home_with_store(tmp_path_factory.mktemp("home"))


@pytest.fixture
def recorder(home, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return MlflowRecorder(home, COMMAND)


def cell(key: str, **changes) -> Cell:
    values = {
        "method": "some",
        "label": "some[a=1]",
        "task": "thing",
        "cohort": "tiny",
        "seed": 3,
        "preset": "quick",
        "kind": "real",
        "cohort_key": "c0",
        "key": key,
        "fit_key": "f0",
        "settings": {"a": 1},
        "parameters": {"formula": "exp", "table": [1, 2]},
    }
    return Cell(**{**values, **changes})


def finished(home, which: Cell) -> CellResult:
    scores = pd.DataFrame(
        {"subject": ["p"], "scan": ["1"], "slice": [-1], "metric": ["psnr"], "value": [30.0]}
    )
    estimates = {
        "psnr": Estimate(30.0, 28.0, 32.0, 4),
        "ssim": Estimate(math.inf, math.nan, math.nan, 1),
    }
    facts = {"fit_seconds": 2.5, "device": "cpu: test", "headline": ["dice", "psnr"]}
    result = CellResult(status=Status.DONE, scores=scores, estimates=estimates, facts=facts)
    return CellStore(home / "cells").save(which, result, b"\x89PNG not much of a picture")


def recorded(home, key: str):
    client, experiment = connect(home)
    return list(client.search_runs([experiment], f"tags.cell = '{key}'"))


def test_a_cell_becomes_one_nested_run_with_all_records(recorder, home):
    which = cell("k-whole")
    recorder.record(which, finished(home, which), COMMAND)
    recorder.close(failed=False)
    (run,) = recorded(home, "k-whole")
    client, _ = connect(home)
    parent = client.get_run(run.data.tags["mlflow.parentRunId"])
    assert (run.info.status, parent.info.status) == ("FINISHED", "FINISHED")
    # MLflow's table shows the name, and so the headline metric that the cell has.
    assert run.info.run_name == "psnr 30.00: some[a=1] on thing, seed 3"
    assert parent.data.tags["mlflow.source.name"] == COMMAND
    assert run.data.tags["mlflow.source.name"] == COMMAND
    assert run.data.metrics == {
        "psnr": 30.0,
        "psnr.low": 28.0,
        "psnr.high": 32.0,
        "fit_seconds": 2.5,
    }
    assert run.data.params["some.a"] == "1"
    assert run.data.params["task.formula"] == "exp"
    expected = {
        "method": "some",
        "task": "thing",
        "cohort": "tiny",
        "seed": "3",
        "preset": "quick",
        "status": "done",
        "cohort_key": "c0",
        "fit": "f0",
        "device": "cpu: test",
        "nonfinite.ssim": "inf",
        "nonfinite.ssim.low": "nan",
    }
    assert {name: run.data.tags[name] for name in expected} == expected
    assert {"version.torch", "version.harmbench", "version.python"} <= set(run.data.tags)
    names = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert names == {"scores.csv", "result.json", "figure.png", "SHA256SUMS"}


def history(home, key: str, name: str):
    client, _ = connect(home)
    (run,) = recorded(home, key)
    return [(item.step, item.value) for item in client.get_metric_history(run.info.run_id, name)]


def test_curves_are_recorded_with_their_steps(recorder, home):
    curves = (
        CurvePoint(10, "loss", 2.0),
        CurvePoint(10, "validation", math.nan),
        CurvePoint(20, "loss", 0.1 + 0.2),
        CurvePoint(20, "validation", 1.5),
    )
    which = cell("k-curves")
    computed = dataclasses.replace(finished(home, which), curves=curves)
    stored = CellStore(home / "cells").save(which, computed, None)
    cached = CellStore(home / "cells").load("k-curves")
    for result in (stored, cached):
        assert result.curves[2:] == curves[2:]
        assert math.isnan(result.curves[1].value)
    recorder.record(which, cached, COMMAND)
    assert history(home, "k-curves", "fit.loss") == [(10, 2.0), (20, 0.1 + 0.2)]
    assert history(home, "k-curves", "fit.validation") == [(20, 1.5)]
    (run,) = recorded(home, "k-curves")
    client, _ = connect(home)
    assert "curves.csv" in {item.path for item in client.list_artifacts(run.info.run_id)}


def test_long_curves_are_thinned_evenly_to_the_limit_of_a_call(recorder, home):
    curves = tuple(
        CurvePoint(step, name, float(step))
        for step in range(1, 1201)
        for name in ("loss", "learning_rate")
        if name == "loss" or step % 100 == 0
    )
    which = cell("k-long")
    recorder.record(which, dataclasses.replace(finished(home, which), curves=curves), COMMAND)
    assert [step for step, _ in history(home, "k-long", "fit.loss")] == list(range(2, 1201, 2))
    assert [step for step, _ in history(home, "k-long", "fit.learning_rate")] == [
        step for step in range(100, 1201, 100) if step % 200 == 0
    ]


def test_a_fit_that_diverged_shows_its_curves(recorder, home):
    curves = (CurvePoint(1, "loss", 5.0), CurvePoint(2, "loss", math.inf))
    result = CellResult(
        status=Status.DIVERGED,
        reason="loss above 1e9",
        facts={"fit_slices_per_second": 9.0},
        curves=curves,
    )
    recorder.record(cell("k-diverged"), result, COMMAND)
    assert history(home, "k-diverged", "fit.loss") == [(1, 5.0)]
    assert history(home, "k-diverged", "fit_slices_per_second") == [(0, 9.0)]


def test_a_cell_from_the_store_is_recorded_once_and_no_more(recorder, home):
    which = cell("k-once")
    finished(home, which)
    cached = CellStore(home / "cells").load("k-once")
    assert cached.status is Status.CACHED
    for _ in range(2):
        recorder.record(which, cached, COMMAND)
    (run,) = recorded(home, "k-once")
    assert run.data.tags["status"] == "done"
    assert recorder.recorded == 1


def test_results_with_more_scans_and_those_that_count_again_are_recorded_again(recorder, home):
    which = cell("k-scans")
    whole = dataclasses.replace(finished(home, which), status=Status.DONE)
    part = dataclasses.replace(whole, facts={**whole.facts, "missing": {"p/1": "exit code 1"}})
    part = dataclasses.replace(part, record="part")
    again = dataclasses.replace(whole, record="again")
    for result, count in ((part, 1), (part, 1), (whole, 2), (whole, 2), (again, 3), (again, 3)):
        recorder.record(which, result, COMMAND)
        assert len(recorded(home, "k-scans")) == count


def test_a_run_that_a_kill_left_half_done_is_replaced(recorder, home):
    client, experiment = connect(home)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    process = f"{platform.node()}:{gone.pid}"
    half = client.create_run(
        experiment, tags={"cell": "k-half", "role": "cell", "process": process}
    )
    which = cell("k-half")
    recorder.record(which, finished(home, which), COMMAND)
    (run,) = recorded(home, "k-half")
    assert run.info.run_id != half.info.run_id


def test_a_run_that_another_process_is_writing_is_left_alone(recorder, home):
    client, experiment = connect(home)
    process = f"{platform.node()}:{os.getppid()}"
    live = client.create_run(
        experiment, tags={"cell": "k-live", "role": "cell", "process": process}
    )
    which = cell("k-live")
    recorder.record(which, finished(home, which), COMMAND)
    assert live.info.run_id in {run.info.run_id for run in recorded(home, "k-live")}
    assert len(recorded(home, "k-live")) == 2


def test_a_cell_is_recorded_for_every_cohort_it_belongs_to(recorder, home):
    for name in ("tiny", "tiny:again"):
        which = cell("k-shared", cohort=name)
        recorder.record(which, finished(home, which), COMMAND)
    cohorts = [run.data.tags["cohort"] for run in recorded(home, "k-shared")]
    assert sorted(cohorts) == ["tiny", "tiny:again"]


def test_skips_and_failures_are_recorded_with_their_reason(recorder, home):
    recorder.record(cell("k-skip"), CellResult(status=Status.SKIPPED, reason="no pairs"), COMMAND)
    recorder.record(cell("k-skip"), CellResult(status=Status.SKIPPED, reason="no pairs"), COMMAND)
    failed = CellResult(status=Status.FAILED, reason="boom", facts={"traceback": "line 1"})
    recorder.record(cell("k-fail", task="other"), failed, COMMAND)
    (skip,) = recorded(home, "k-skip")
    (fail,) = recorded(home, "k-fail")
    assert (skip.data.tags["status"], skip.data.tags["reason"]) == ("skipped", "no pairs")
    assert (fail.info.status, fail.data.tags["reason"]) == ("FAILED", "boom")
    client, _ = connect(home)
    assert [item.path for item in client.list_artifacts(fail.info.run_id)] == ["traceback.txt"]


def test_an_unavailable_store_has_a_one_line_error(tmp_path, monkeypatch):
    from harmbench.errors import UserError

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(UserError, match="does not answer") as caught:
        connect(tmp_path)
    assert "\n" not in str(caught.value)
