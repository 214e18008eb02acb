"""`harmbench report` and `harmbench ui`: what they make of cells that were run."""

from __future__ import annotations

import json
import socket
import time
import urllib.parse
import urllib.request

import pytest

from harmbench.errors import UserError
from harmbench.tracking.connection import connect
from harmbench.tracking.ui import describe, serve

# MLflow's imports raise deprecation warnings.
pytestmark = pytest.mark.filterwarnings("default")


def test_the_report_contains_the_recorded_runs(ran, inside, tmp_path):
    code, out, _ = inside("report", "-o", tmp_path / "out")
    assert code == 0
    pages = {path.name for path in (tmp_path / "out").rglob("*.html")}
    # No page without content: nothing was trained, and no biology was measured.
    assert {"index.html", "cost.html", "task-domain1.html"} <= pages
    assert not {"training.html", "biology.html"} & pages
    count = len([*(tmp_path / "out").rglob("*.html")])
    assert out == f"{count} pages written; open {tmp_path / 'out' / 'index.html'}\n"
    (page,) = (tmp_path / "out").glob("tiny-*/task-domain1.html")
    assert "harmbench run -m identity -m histogram" in page.read_text()
    # Of methods; the controls are the source and the reference themselves.
    pictures = {path.name for path in page.parent.glob("images/task-domain1-*.png")}
    assert pictures == {
        f"task-domain1-{name}.png"
        for name in ("source", "source-difference", "0", "0-difference", "reference")
    }


def test_the_experiment_is_described_and_its_runs_are_addressed(ran):
    pages = describe(ran, {"psnr": {"unit": "dB"}})
    client, experiment = connect(ran)
    tags = client.get_experiment(experiment).tags
    assert {name for name in tags if name.startswith("mlflow.")} == {"mlflow.note.content"}
    note = tags["mlflow.note.content"]
    assert (
        "### psnr [dB], higher is better: tiny, **SIMULATED, not real scans**, quick preset" in note
    )
    assert "| task | oracle (reference line) | histogram | identity (floor) |" in note

    # The query selects the cells of the newest board, the best first.
    page, _, query = pages.page("http://here").partition("?")
    assert page == f"http://here/#/experiments/{experiment}/runs"
    query = dict(urllib.parse.parse_qsl(query))
    order = f"{query['orderByKey']} {'ASC' if query['orderByAsc'] == 'true' else 'DESC'}"
    result = client.search_runs([experiment], query["searchFilter"], order_by=[order])
    assert len(result) == 6
    # The infinite PSNR of the oracle is no metric in MLflow.
    assert result[0].data.tags["label"] == "histogram"

    # Every method once, on one task, in the query of MLflow's comparison.
    names = [client.get_run(run).info.run_name for run in pages.runs]
    assert [name.partition(": ")[2] for name in names] == [
        f"{m} on domain1, seed 0" for m in ("oracle", "histogram", "identity")
    ]
    assert all(name.startswith("psnr ") for name in names)
    address = urllib.parse.unquote(pages.compare("http://here"))
    assert address == (
        f"http://here/#/compare-runs?runs={json.dumps(pages.runs, separators=(',', ':'))}"
        f'&experiments=["{experiment}"]'
    )


def test_ui_is_an_error_before_the_first_run(mistake):
    assert "harmbench run -m identity" in mistake("ui", "--no-browser")
    assert "harmbench run -m identity" in mistake("report")


def test_a_port_in_use_is_an_error(ran):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(UserError, match=f"127.0.0.1:{port}"),
            serve(ran, "127.0.0.1", port),
        ):
            pass


@pytest.mark.slow
def test_the_server_has_the_experiment_and_ends_with_the_command(ran, start):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = start("ui", "--no-browser", "--port", port)
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
