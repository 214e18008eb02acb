"""Folders are replaced completely or not at all, also by a process that is killed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from harmbench.util import folders

# Replaces a folder, and is killed when it renames for the given time.
KILLED = """
import os, sys
from pathlib import Path
from harmbench.util import folders

folder, last, rename, calls = Path(sys.argv[1]), int(sys.argv[2]), Path.rename, []

def killed(path, target):
    calls.append(path)
    if len(calls) == last:
        os._exit(9)
    return rename(path, target)

Path.rename = killed
with folders.replacing(folder) as building:
    (building / "file").write_text("new")
"""


def content(folder):
    return (folder / "file").read_text()


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "entry"
    with folders.replacing(folder) as building:
        (building / "file").write_text("old")
    return folder


@pytest.mark.parametrize("renames", [1, 2])
def test_a_kill_loses_nothing(folder, renames):
    command = [sys.executable, "-c", KILLED, folder, str(renames)]
    assert subprocess.run(command, check=False).returncode == 9
    assert folder.exists() == (renames == 1)
    folders.restore(folder)
    assert content(folder) == "old"
    with folders.replacing(folder) as building:
        assert not any(building.iterdir())
        (building / "file").write_text("newer")
    assert content(folder) == "newer"
    assert [path.name for path in folder.parent.iterdir()] == ["entry"]


def test_an_error_keeps_the_folder(folder):
    with pytest.raises(KeyError), folders.replacing(folder):
        raise KeyError
    assert content(folder) == "old"
    assert [path.name for path in folder.parent.iterdir()] == ["entry"]


def test_a_removed_folder_is_not_restored(folder):
    folders.remove(folder)
    folders.restore(folder)
    assert not any(folder.parent.iterdir())
    with pytest.raises(FileNotFoundError):
        folders.remove(folder)
