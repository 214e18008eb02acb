"""Records on disk: complete after a kill, safe for several processes, read once."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from harmbench.contracts.cell import CellResult, Status
from harmbench.contracts.fit_progress import CurvePoint
from harmbench.errors import UserError
from harmbench.statistics.subjects import decode
from harmbench.store import results
from harmbench.store.result_table import RecordedRuns
from harmbench.store.results import ResultsStore
from harmbench.store.stores import CellStore
from helpers import ROOT
from helpers.scored_cells import SUBJECTS, cell, scored

BASE = np.arange(20.0, 28.0)


@pytest.fixture
def store(tmp_path):
    return ResultsStore(tmp_path / "results")


def append(store, *pairs):
    with store.writer("harmbench run") as writer:
        return [writer.append(which, result) for which, result in pairs]


def labels(store):
    return sorted(store.table()["label"].to_pylist())


def files(store):
    return sorted(store.folder.glob("*.jsonl"))


def test_a_record_is_read_back_whole(store):
    bounds = {"held-out": {"psnr": {"mean": 9.0, "low": 8.0, "high": "inf", "n": 3}}}
    result = scored(psnr=BASE, mae=BASE + math.inf)
    result.facts["bounds"] = bounds
    which = cell("some", "a", settings={"alpha": 2}, parameters={"gain": 1.5, "table": [1]})
    (result,) = append(store, (which, result))
    runs = RecordedRuns(store.table())
    (row,) = runs.runs().to_dict("records")
    assert row["run_id"] == result.record
    assert (row["psnr"], row["mae"], row["bounds"]) == (23.5, math.inf, bounds)
    assert (row["status"], row["fit_seconds"], row["metric_versions"]["mae"]) == ("done", 2.5, "1")
    names, values = decode(row["subjects"], row["psnr.subjects"])
    assert names == tuple(SUBJECTS)
    assert values.tolist() == BASE.tolist()
    origin = runs.provenance()[result.record]
    assert origin.command == "harmbench run"
    assert origin.settings == {"some.alpha": "2", "task.gain": "1.5"}
    assert {"harmbench", "torch", "python"} <= origin.environment.keys()


def test_a_result_is_recorded_once_and_each_failure_counts(store, tmp_path):
    which = cell("some", "a")
    cells = CellStore(tmp_path / "cells")
    fresh = cells.save(which, scored(psnr=BASE), None)
    (first,) = append(store, (which, fresh))
    (again,) = append(store, (which, cells.load(which.key)))
    assert again.status is Status.CACHED
    assert again.record == first.record
    skipped = CellResult(status=Status.SKIPPED, reason="no pairs")
    failed = CellResult(status=Status.FAILED, reason="boom")
    other = cell("other", "a")
    append(store, (other, failed), (other, failed), (which, skipped), (which, skipped))
    assert labels(store) == ["other", "other", "some", "some"]


def test_a_method_that_was_changed_back_counts_again(store):
    first, changed = cell("some", "a", key="first"), cell("some", "a", key="changed")
    result = scored(psnr=BASE)
    for which, records in ((first, 1), (first, 1), (changed, 2), (first, 3), (first, 3)):
        (recorded,) = append(store, (which, result))
        table = store.table().sort_by("started")
        assert table["cell"].to_pylist()[-1] == which.key
        assert recorded.record in table["run_id"].to_pylist()
        assert len(table) == records


def test_a_stored_cell_whose_record_a_kill_prevented_is_recorded_by_the_next_run(store, tmp_path):
    which = cell("some", "a")
    cells = CellStore(tmp_path / "cells")
    cells.save(which, scored(psnr=BASE), None)
    append(store, (which, cells.load(which.key)))
    (row,) = RecordedRuns(store.table()).runs().to_dict("records")
    assert (row["status"], row["psnr"]) == ("done", 23.5)


def test_an_incomplete_last_line_is_ignored_and_its_cell_is_recorded_again(store):
    append(store, (cell("one", "a"), scored(psnr=BASE)), (cell("two", "a"), scored(psnr=BASE)))
    (path,) = files(store)
    path.write_bytes(path.read_bytes()[:-40])
    assert labels(store) == ["one"]
    append(store, (cell("two", "a"), scored(psnr=BASE)))
    assert labels(store) == ["one", "two"]
    assert len(files(store)) == 2


KILLED = """
import sys
import numpy as np
from pathlib import Path
from harmbench.store.results import ResultsStore
from helpers.scored_cells import cell, scored
with ResultsStore(Path(sys.argv[1])).writer("harmbench run") as writer:
    for seed in range(10_000):
        writer.append(cell(sys.argv[2], "a", seed=seed), scored(psnr=np.arange(8.0)))
        print(seed, flush=True)
"""


def writing(store, label):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests"), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", KILLED, str(store.folder), label],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


def test_two_processes_append_and_a_kill_loses_no_record_that_was_acknowledged(store):
    processes = [writing(store, label) for label in ("one", "two")]

    def seen(process):
        with process.stdout as lines:
            for line in lines:
                if int(line) == 20:
                    process.send_signal(signal.SIGKILL)
        return process.wait()

    with ThreadPoolExecutor() as pool:
        assert list(pool.map(seen, processes)) == [-signal.SIGKILL] * 2
    table = RecordedRuns(store.table()).runs()
    for label in ("one", "two"):
        assert set(range(21)) <= set(table[table["label"] == label]["seed"])
    assert len(files(store)) == 2


def test_only_new_bytes_are_parsed_and_a_damaged_cache_is_made_again(store, monkeypatch, caplog):
    monkeypatch.setattr(results, "_WORTH_CACHING", 0)
    cache = store.folder / "table.parquet"
    append(store, (cell("one", "a"), scored(psnr=BASE)))
    before = store.table()
    assert cache.exists()
    # What was parsed is not read again: its bytes may be anything.
    (path,) = files(store)
    original = path.read_bytes()
    path.write_bytes(b"x" * (len(original) - 1) + b"\n")
    append(store, (cell("two", "a"), scored(psnr=BASE, mae=BASE)))
    assert labels(store) == ["one", "two"]
    path.write_bytes(original)
    for damage in (b"", b"PAR1 and no more", cache.read_bytes()[:-100]):
        cache.write_bytes(damage)
        assert labels(store) == ["one", "two"]
        assert "is damaged and made again" in caplog.text
        caplog.clear()
    table = store.table()
    row = table["label"].to_pylist().index("one")
    assert table.take([row]).select(before.column_names).equals(before)


def test_records_of_a_file_that_was_removed_or_replaced_are_gone(store, monkeypatch):
    monkeypatch.setattr(results, "_WORTH_CACHING", 0)
    append(store, (cell("one", "a"), scored(psnr=BASE)), (cell("two", "a"), scored(psnr=BASE)))
    append(store, (cell("three", "a"), scored(psnr=BASE)))
    assert labels(store) == ["one", "three", "two"]
    first, second = files(store)
    if len(first.read_bytes()) < len(second.read_bytes()):
        first, second = second, first
    second.unlink()
    assert labels(store) == ["one", "two"]
    first.write_bytes(first.read_bytes().splitlines(keepends=True)[0])
    assert labels(store) == ["one"]


def test_lines_of_another_schema_and_damaged_lines_are_left_out_with_one_line(
    store, monkeypatch, caplog
):
    monkeypatch.setattr(results, "_WORTH_CACHING", 0)
    append(store, (cell("one", "a"), scored(psnr=BASE)))
    (path,) = files(store)
    newer = json.loads(path.read_text()) | {"schema": 99, "head": "of another kind"}
    lines = [json.dumps(newer), '{"schema": 1}', "[]", ""]
    (store.folder / "newer.jsonl").write_text("\n".join(lines) + "\n")
    for _ in range(2):  # also when they are in the cache
        caplog.clear()
        assert labels(store) == ["one"]
        newer, damaged = [record.getMessage() for record in caplog.records]
        assert "1 results were recorded by another version" in newer
        assert "3 damaged lines in newer.jsonl" in damaged


def test_a_copy_of_the_folder_is_complete(store, tmp_path, monkeypatch):
    monkeypatch.setattr(results, "_WORTH_CACHING", 0)
    append(store, (cell("one", "a"), scored(psnr=BASE)))
    assert labels(store) == ["one"]
    shutil.copytree(store.folder, tmp_path / "elsewhere")
    shutil.rmtree(store.folder)
    assert labels(ResultsStore(tmp_path / "elsewhere")) == ["one"]
    assert labels(store) == []


def test_a_failure_keeps_its_traceback_and_curves(store):
    failed = CellResult(
        status=Status.DIVERGED,
        reason="loss above 1e9",
        facts={"traceback": "line 3"},
        curves=(CurvePoint(1, "loss", 5.0), CurvePoint(2, "loss", math.inf)),
    )
    (result,) = append(store, (cell("one", "a"), failed))
    folder = store.files(result.record)
    assert (folder / "traceback.txt").read_text() == "line 3"
    assert (folder / "curves.csv").read_text().split() == [
        "step,name,value",
        "1,loss,5.0",
        "2,loss,inf",
    ]


def test_a_full_disk_is_one_line_and_the_next_record_starts_a_file(store, monkeypatch):
    with store.writer("harmbench run") as writer:
        writer.append(cell("one", "a"), scored(psnr=BASE))

        def full(handle):
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(UserError, match="two on a.*No space left"):
                writer.append(cell("two", "a"), scored(psnr=BASE))
        writer.append(cell("three", "a"), scored(psnr=BASE))
    assert len(files(store)) == 2
    assert {"one", "three"} <= set(labels(store))
