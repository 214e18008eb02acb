"""What MLflow could not take is kept, and sent once."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import asdict, replace

import pandas as pd
import pytest
from filelock import FileLock

from harmbench.contracts.cell import Cell, CellResult, Status
from harmbench.statistics.estimate import Estimate
from harmbench.store.stores import CellStore
from harmbench.tracking.connection import connect, search
from harmbench.tracking.outbox import Outbox
from harmbench.tracking.recorder import MlflowRecorder

# MLflow's imports raise deprecation warnings.
pytestmark = pytest.mark.filterwarnings("default")


def cell(key, task="domain1"):
    return Cell(
        method="some",
        label="some",
        task=task,
        cohort="tiny",
        seed=0,
        preset="quick",
        kind="real",
        cohort_key="cohort-key",
        key=key,
    )


def stored(home, which):
    """Store a finished cell, as the runner does."""
    scores = pd.DataFrame(
        {"subject": ["p0"], "scan": ["1"], "slice": [-1], "metric": ["psnr"], "value": [20.0]}
    )
    estimates = {"psnr": Estimate(20.0, 19.0, 21.0, 1)}
    result = CellResult(
        status=Status.DONE, scores=scores, estimates=estimates, facts={"device": "cpu"}
    )
    store = CellStore(home / "cells")
    with store.lock(which.key):
        return store.save(which, result, None)


@pytest.fixture
def home(tmp_path, monkeypatch, home_with_store):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return home_with_store(tmp_path)


def outbox(home, messages=None, command="test"):
    on_delay = ([] if messages is None else messages).append
    return Outbox(home, MlflowRecorder(home, command), on_delay)


def recorded(home):
    runs = search(*connect(home), "tags.role = 'cell'")
    return sorted((run.data.tags["task"], run.data.tags["status"]) for run in runs)


def test_sent_records_leave_the_outbox(home):
    messages = []
    box = outbox(home, messages)
    box.after_cell(cell("a"), stored(home, cell("a")))
    box.after_cell(cell("b", "domain2"), stored(home, cell("b", "domain2")))
    box.close(failed=False)
    assert (box.waiting(), messages) == (0, [])
    assert recorded(home) == [("domain1", "done"), ("domain2", "done")]


def held(home):
    """Hold the outbox, as another process does while it sends a record."""
    return FileLock(home / "outbox" / ".lock")


def test_a_cell_does_not_wait_for_its_record(home):
    box = outbox(home)
    box.after_cell(cell("a"), stored(home, cell("a")))  # connects
    with held(home):
        box.after_cell(cell("b", "domain2"), stored(home, cell("b", "domain2")))
        assert box.waiting() == 1
        assert recorded(home) == [("domain1", "done")]
    box.close(failed=False)
    assert box.waiting() == 0
    assert recorded(home) == [("domain1", "done"), ("domain2", "done")]


def test_a_kill_while_a_record_is_sent_loses_nothing(home):
    """A process is killed with a record in the thread; the next one sends it, once."""
    which = cell("b", "domain2")
    program = f"""
import os, pathlib, signal
from filelock import FileLock
from harmbench.contracts.cell import Cell
from harmbench.store.stores import CellStore
from harmbench.tracking.outbox import Outbox
from harmbench.tracking.recorder import MlflowRecorder

home = pathlib.Path({str(home)!r})
box = Outbox(home, MlflowRecorder(home, "killed"), print)
cells = [Cell(**fields) for fields in {[asdict(cell("a")), asdict(which)]!r}]
results = [CellStore(home / "cells").load(each.key) for each in cells]
box.after_cell(cells[0], results[0])
with FileLock(home / "outbox" / ".lock"):
    box.after_cell(cells[1], results[1])
    os.kill(os.getpid(), signal.SIGKILL)
"""
    for each in (cell("a"), which):
        stored(home, each)
    killed = subprocess.run([sys.executable, "-c", program], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert recorded(home) == [("domain1", "done")]
    for _ in range(2):
        later = outbox(home)
        later.send_all()
        later.close(failed=False)
        assert later.waiting() == 0
        assert recorded(home) == [("domain1", "done"), ("domain2", "done")]


def test_an_unexpected_error_in_the_thread_is_shown_and_the_record_kept(home):
    messages = []
    box = outbox(home, messages)
    box.after_cell(cell("a"), stored(home, cell("a")))  # connects
    lock = home / "outbox" / ".lock"
    lock.unlink()
    lock.mkdir()
    box.after_cell(cell("b", "domain2"), stored(home, cell("b", "domain2")))
    box.flush()
    assert len(messages) == 1
    assert "is kept" in messages[0]
    assert box.waiting() == 1
    lock.rmdir()
    box.send_all()
    assert box.waiting() == 0


@pytest.fixture
def out_of_reach(home, monkeypatch):
    """A server that does not answer; it is tried once, without the seconds between attempts."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # the port that discards
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@pytest.mark.usefixtures("out_of_reach")
def test_unsent_records_are_kept_and_sent_once(home, monkeypatch):
    messages = []
    box = outbox(home, messages)
    box.after_cell(cell("a"), stored(home, cell("a")))
    failed = CellResult(
        status=Status.FAILED, reason="no luck", facts={"traceback": "Traceback ..."}
    )
    box.after_cell(cell("b", "domain2"), failed)
    assert box.waiting() == 2
    assert len(messages) == 1  # the second was not even tried
    assert "kept" in messages[0]
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    for _ in range(2):
        later = outbox(home, command="harmbench sync")
        later.send_all()
        assert later.waiting() == 0
        assert recorded(home) == [("domain1", "done"), ("domain2", "failed")]
    (run,) = search(*connect(home), "tags.task = 'domain1'")
    # Of the invocation that recorded the cell, not of the one that sent the record.
    assert run.data.tags["mlflow.source.name"] == "test"


def test_a_run_that_was_deleted_in_mlflow_is_recorded_again(home):
    result = stored(home, cell("a"))
    box = outbox(home)
    box.after_cell(cell("a"), result)
    box.close(failed=False)
    client, experiment = connect(home)
    (run,) = search(client, experiment, "tags.role = 'cell'")
    client.delete_run(run.info.run_id)
    assert recorded(home) == []
    outbox(home).after_cell(cell("a"), result)
    assert recorded(home) == [("domain1", "done")]


def test_a_kill_before_the_list_of_sent_records_is_written_sends_nothing_twice(home):
    result = stored(home, cell("a"))
    outbox(home).after_cell(cell("a"), result)
    (home / "outbox" / "mirrored").unlink()
    outbox(home).after_cell(cell("a"), result)
    assert recorded(home) == [("domain1", "done")]


def test_a_result_of_further_metrics_is_sent(home):
    result = stored(home, cell("a"))
    box = outbox(home)
    box.after_cell(cell("a"), result)
    more = replace(
        result, facts={**result.facts, "metrics": {"ssim": {"key": "1", "version": "1"}}}
    )
    for _ in range(2):
        box.after_cell(cell("a"), more)
    box.close(failed=False)
    assert len(recorded(home)) == 2


def test_a_failure_that_was_sent_and_not_crossed_out_is_not_sent_twice(home):
    recorder = MlflowRecorder(home, "test")
    failed = CellResult(status=Status.FAILED, reason="no luck", record="1")
    recorder.record(cell("b"), failed, "test")
    recorder.record(cell("b"), failed, "test")
    assert recorder.recorded == 1
    recorder.record(cell("b"), replace(failed, record="2"), "test")  # tried again
    assert recorder.recorded == 2


@pytest.mark.usefixtures("out_of_reach")
def test_a_cell_that_was_removed_from_the_store_is_let_go(home, monkeypatch):
    box = outbox(home)
    result = stored(home, cell("a"))
    box.after_cell(cell("a"), result)
    (result.folder / "result.json").unlink()
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    later = outbox(home)
    later.send_all()
    assert later.waiting() == 0
    assert recorded(home) == []


def of_another_version(content):
    """Return a record with a cell that this version does not know."""
    return {**content, "cell": {**content["cell"], "person": "p"}}


@pytest.mark.usefixtures("out_of_reach")
@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[]",
        lambda text: json.dumps({**json.loads(text), "outcome": {"status": "UNHEARD"}}),
        lambda text: json.dumps(of_another_version(json.loads(text))),
    ],
)
def test_a_record_that_cannot_be_read_is_named_and_kept_and_the_others_are_sent(
    home, monkeypatch, damage
):
    box = outbox(home)
    for name in ("domain1", "domain2"):
        box.after_cell(cell(name, name), stored(home, cell(name, name)))
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    first, _ = sorted((home / "outbox").glob("*.json"))
    first.write_text(damage(first.read_text()))
    messages = []
    later = outbox(home, messages)
    later.send_all()
    later.close(failed=False)
    (line,) = messages
    assert line.startswith(f"the record {first} cannot be read")
    assert list((home / "outbox").glob("*.json")) == [first]
    assert recorded(home) == [("domain2", "done")]


class Server:
    """A real MLflow server on loopback, which can be stopped and started again."""

    def __init__(self, folder):
        with socket.socket() as result:
            result.bind(("127.0.0.1", 0))
            self.port = result.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self.folder = folder

    def start(self):
        command = [
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--port",
            str(self.port),
            "--backend-store-uri",
            f"sqlite:///{self.folder / 'server.db'}",
            "--artifacts-destination",
            str(self.folder / "artifacts"),
            "--workers",
            "1",
        ]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"},
            start_new_session=True,
        )
        until = time.monotonic() + 180
        while time.monotonic() < until:
            try:
                urllib.request.urlopen(f"{self.uri}/health", timeout=2).close()
                return
            except OSError:
                time.sleep(0.5)
        raise AssertionError("the MLflow server did not start")

    def stop(self):
        os.killpg(self.process.pid, 9)
        self.process.wait()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_server_that_stops_in_the_middle_misses_nothing(home, monkeypatch):
    server = Server(home)
    server.start()
    try:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
        messages = []
        box = outbox(home, messages)
        box.after_cell(cell("a", "domain1"), stored(home, cell("a", "domain1")))
        server.stop()
        box.after_cell(cell("b", "domain2"), stored(home, cell("b", "domain2")))
        box.after_cell(
            cell("c", "domain3"), CellResult(status=Status.DIVERGED, reason="loss above 1e9")
        )
        box.flush()
        assert (box.waiting(), len(messages)) == (2, 1)
        server.start()
        later = outbox(home)
        later.send_all()
        assert later.waiting() == 0
        assert recorded(home) == [("domain1", "done"), ("domain2", "done"), ("domain3", "diverged")]
        box.send_all()
        assert len(recorded(home)) == 3
    finally:
        server.stop()
