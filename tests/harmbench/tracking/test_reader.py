"""One table of the results of this home and of a shared store."""

from __future__ import annotations

import numpy as np
import pytest
from mlflow import MlflowClient

from harmbench.contracts.cell import CellResult, Status
from harmbench.errors import UserError
from harmbench.store.results import ResultsStore
from harmbench.tracking.connection import connect
from harmbench.tracking.reader import cell_file, read, runs
from harmbench.tracking.recorder import MlflowRecorder
from helpers.scored_cells import cell, scored

# MLflow's imports raise deprecation warnings.
pytestmark = pytest.mark.filterwarnings("default")

FAILED = CellResult(status=Status.FAILED, reason="boom", facts={"traceback": "line 1"})


def at(value):
    return scored(psnr=np.arange(8.0) - 3.5 + value)


def record(home, *pairs, mirror):
    """Record cells in a home; mirror them in the shared store if wanted."""
    recorder = MlflowRecorder(home, "harmbench run")
    with ResultsStore(home / "results").writer("harmbench run") as writer:
        for which, ended in pairs:
            result = writer.append(which, ended)
            if mirror:
                recorder.record(which, result, "harmbench run")
    recorder.close(failed=False)


def board(home):
    table = runs(home)
    return dict(zip(table["label"], zip(table["status"], table["psnr"], strict=True), strict=True))


@pytest.fixture
def homes(tmp_path, monkeypatch, home_with_store):
    """The homes of two users; a sqlite file is their shared store."""
    shared = home_with_store(tmp_path / "shared") / "mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{shared}")
    return tmp_path / "mine", tmp_path / "theirs"


def test_cells_of_the_home_and_of_a_shared_store_are_in_one_table_once_each(homes):
    mine, theirs = homes
    both, repaired = cell("both", "a"), cell("repaired", "a")
    record(mine, (cell("mine", "a"), at(1.0)), (both, at(2.0)), (repaired, FAILED), mirror=False)
    record(
        theirs, (cell("theirs", "a"), at(3.0)), (both, at(4.0)), (repaired, at(5.0)), mirror=True
    )
    expected = {"mine": 1.0, "both": 2.0, "repaired": 5.0, "theirs": 3.0}
    assert board(mine) == {label: ("done", value) for label, value in expected.items()}
    assert read(mine).headlines == ("psnr", "mae")
    origin = read(mine).provenance()
    assert set(origin) == set(runs(mine)["run_id"])

    # Runs that are deleted on the server leave the table.
    client, _ = connect(mine)
    table = runs(mine).set_index("label")
    assert (table["mlflow_run"] != "").to_dict() == {
        "mine": False,
        "both": False,
        "repaired": True,
        "theirs": True,
    }
    for label in ("repaired", "theirs"):
        client.delete_run(table.loc[label, "mlflow_run"])
    assert sorted(board(mine)) == ["both", "mine", "repaired"]
    assert board(mine)["repaired"][0] == "failed"


def test_a_mirrored_cell_of_this_home_counts_once(homes):
    mine, _ = homes
    record(mine, (cell("mine", "a"), at(1.0)), mirror=True)
    table = runs(mine)
    assert table["label"].tolist() == ["mine"]
    assert table["mlflow_run"].tolist() == [""]


def test_the_local_mirror_is_not_read(tmp_path, monkeypatch, home_with_store):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    home = home_with_store(tmp_path)
    record(home, (cell("mine", "a"), at(1.0)), mirror=True)
    (home / "mlflow.db").unlink()
    assert board(home) == {"mine": ("done", 1.0)}
    assert not (home / "mlflow.db").exists()


def test_nothing_recorded_is_an_empty_table_and_makes_no_file(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert runs(tmp_path).empty
    assert list(tmp_path.iterdir()) == []


def test_without_an_answer_the_last_one_counts(homes, monkeypatch, caplog):
    mine, theirs = homes
    record(theirs, (cell("theirs", "a"), at(3.0)), mirror=True)
    record(mine, (cell("mine", "a"), at(1.0)), mirror=False)
    assert len(board(mine)) == 2
    # Also if it stops answering in the middle.
    client = MlflowClient(tracking_uri="http://127.0.0.1:9")  # the port that discards
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    for answer in (unreachable, lambda home: (client, "1")):
        caplog.clear()
        monkeypatch.setattr("harmbench.tracking.server_runs.connect", answer)
        assert board(mine) == {"mine": ("done", 1.0), "theirs": ("done", 3.0)}
        assert "does not answer" in caplog.text
        assert "1 runs are known from before" in caplog.text


def unreachable(home):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # the port that discards
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        return connect(home)


def test_files_come_from_the_home_or_from_the_shared_store(homes):
    mine, theirs = homes
    record(theirs, (cell("theirs", "a"), FAILED), mirror=True)
    record(mine, (cell("mine", "a"), FAILED), mirror=False)
    for row in runs(mine).to_dict("records"):
        path = cell_file(mine, row["cell"], row["run_id"], "traceback.txt")
        assert path.read_text() == "line 1"
        assert path.is_relative_to(mine)
        assert cell_file(mine, row["cell"], row["run_id"], "curves.csv") is None
    # The files of the shared store lie beside it, not in the current directory.
    assert list((mine.parent / "shared" / "artifacts").glob("*/artifacts/traceback.txt"))


def test_a_shared_store_that_was_deleted_is_not_taken_for_an_empty_one(homes):
    mine, theirs = homes
    record(theirs, (cell("theirs", "a"), at(3.0)), mirror=True)
    client, experiment = connect(theirs)
    client.delete_experiment(experiment)
    with pytest.raises(UserError, match="was deleted; restore it"):
        read(mine)
    assert board(theirs) == {"theirs": ("done", 3.0)}  # its own results need no server
