"""The list of the cells that MLflow has applies only while nothing else changes MLflow's store."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3

import pytest

from harmbench.tracking.mirrored import MirroredCells


def write(home):
    """Change the store as another program does."""
    with contextlib.closing(sqlite3.connect(home / "mlflow.db")) as database, database:
        database.execute("insert into runs values (1)")


def add(home, cell):
    """Add a cell to the list after a write, and return the list."""
    listed = MirroredCells(home)
    with listed.changing(cell):
        write(home)
    return listed


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "outbox").mkdir()
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        database.execute("create table runs (id integer)")
    return tmp_path


def has(listed, *cells):
    return [listed.has(cell) for cell in cells]


def test_cells_of_several_processes_are_listed(home):
    first = add(home, "a")
    second = add(home, "b")
    for listed in (first, second, MirroredCells(home)):
        assert has(listed, "a", "b", "c") == [True, True, False]


def test_a_change_without_a_new_cell_keeps_the_list(home):
    assert has(add(home, "a"), "a") == [True]
    assert has(add(home, None), "a") == [True]


@pytest.mark.parametrize("change", ["write", "restore", "delete", "other store", "server"])
def test_after_a_change_by_another_program_the_list_is_empty(home, change, monkeypatch):
    shutil.copy2(home / "mlflow.db", home / "backup.db")
    listed = add(home, "a")
    match change:
        case "write":
            write(home)
        case "restore":
            shutil.copy2(home / "backup.db", home / "mlflow.db")
        case "delete":
            (home / "mlflow.db").unlink()
        case "other store":
            monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/backup.db")
        case "server":
            monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert has(listed, "a") == has(MirroredCells(home), "a") == [False]


def test_the_list_begins_anew_after_such_a_change(home):
    add(home, "a")
    write(home)
    assert has(add(home, "b"), "a", "b") == [False, True]


def test_the_list_follows_a_store_in_wal_mode(home):
    with contextlib.closing(sqlite3.connect(home / "mlflow.db")) as reader:
        reader.execute("pragma journal_mode = wal")
        listed = add(home, "a")  # the open reader keeps the second file
        assert has(listed, "a") == [True]
        write(home)
        assert has(listed, "a") == [False]


def test_after_a_failed_change_the_list_does_not_apply(home):
    listed = add(home, "a")
    with pytest.raises(ZeroDivisionError), listed.changing("b"):  # noqa: PT012
        write(home)
        1 / 0  # noqa: B018
    assert has(listed, "a", "b") == [False, False]


def test_a_damaged_list_is_empty_and_replaced(home):
    add(home, "a")
    path = home / "outbox" / "mirrored"
    path.write_bytes(path.read_bytes()[:-5])
    assert has(MirroredCells(home), "a") == [False]
    assert has(add(home, "b"), "a", "b") == [False, True]


@pytest.mark.parametrize("content", [b"", b"null\n", b'["a"]\n', b'["a", "b"]\n["c", "d'])
def test_a_damaged_list_is_empty(home, content):
    add(home, "a")
    (home / "outbox" / "mirrored").write_bytes(content)
    listed = MirroredCells(home)
    assert has(listed, "a") == [False]
    with listed.changing("b"):
        write(home)
    assert has(MirroredCells(home), "a", "b") == [False, True]
