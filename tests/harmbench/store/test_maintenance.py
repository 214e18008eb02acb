"""The stores, listed, verified and pruned."""

from __future__ import annotations

import json
import os
import subprocess
import time

import pytest

from harmbench.store.folder_store import Store
from harmbench.store.maintenance import faults, remove, stored, to_prune


@pytest.fixture
def home(tmp_path):
    """A home with two fits, of which a cell used one."""
    for key, seed in (("used", 0), ("unused", 1)):
        with Store(tmp_path / "fits").writing(key) as folder:
            content = {"method": "unet", "domain": "target", "seed": seed}
            (folder / "fit.json").write_text(json.dumps(content))
            (folder / "state.safetensors").write_bytes(bytes(1000))
    with Store(tmp_path / "cells").writing("cell") as folder:
        cell = {
            "label": "unet",
            "task": "domain1",
            "cohort": "phantom",
            "seed": 0,
            "fit_key": "used",
        }
        (folder / "result.json").write_text(json.dumps({"cell": cell}))
    for name, marks in (("begun", ()), ("done", ("ended",))):
        folder = tmp_path / "runs" / name
        (folder / "logs").mkdir(parents=True)
        (folder / "options.json").write_text("{}")
        (folder / "logs" / "cell.log").write_bytes(bytes(5000))
        for mark in marks:
            (folder / mark).touch()
    return tmp_path


def by_key(home):
    return {entry.key: entry for entry in stored(home)}


def test_entries_have_titles_and_sizes(home):
    entries = by_key(home)
    assert set(entries) == {"used", "unused", "cell", "begun", "done"}
    assert entries["used"].title == "unet on target, seed 0"
    assert entries["cell"].title == "unet on domain1, phantom, seed 0"
    assert entries["cell"].fits == ("used",)
    assert entries["used"].size > 1000
    assert entries["used"].days < 0.01
    assert entries["done"].title == "ended"
    assert entries["done"].size > 5000


def test_checksums_are_those_of_sha256sum(home):
    done = subprocess.run(
        ["sha256sum", "--check", "SHA256SUMS"],
        cwd=home / "fits" / "used",
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "state.safetensors: OK" in done.stdout


def test_changed_files_are_faults(home):
    assert [list(faults(entry)) for entry in stored(home)] == [[], [], [], [], []]
    folder = home / "fits" / "used"
    with (folder / "state.safetensors").open("r+b") as stream:
        stream.write(b"x")
    (folder / "fit.json").unlink()
    (folder / "more").touch()
    entry = by_key(home)["used"]
    assert list(faults(entry)) == [
        "fit.json is missing",
        "more was added",
        "state.safetensors is damaged",
    ]
    assert entry.title == "damaged"


def test_pruned_entries_meet_every_condition(home):
    old = time.time() - 10 * 24 * 3600
    os.utime(home / "fits" / "used", (old, old))

    def keys(**conditions):
        arguments = {"older_than": None, "unused": False, "damaged": False} | conditions
        return [entry.key for entry in to_prune(stored(home), **arguments)]

    assert keys(unused=True) == ["unused"]
    assert keys(older_than=5) == ["used"]
    assert keys(older_than=5, unused=True) == []
    for name in ("begun", "done"):
        os.utime(home / "runs" / name, (old, old))
    # A run that has not ended may be resumed.
    assert set(keys(older_than=5)) == {"used", "done"}
    assert keys(damaged=True) == []


def test_removed_entries_no_longer_exist(home):
    for key in ("unused", "done"):
        remove(by_key(home)[key])
    assert set(by_key(home)) == {"used", "cell", "begun"}
    for folder in ("fits", "runs"):
        names = {path.name for path in (home / folder).iterdir() if path.suffix != ".lock"}
        assert not {name for name in names if name.startswith(".")}


def test_outputs_and_checkpoints_of_killed_work_are_listed_and_removed(home):
    outputs, checkpoints = home / "cells" / ".c1.outputs", home / "fits" / ".f1.checkpoints"
    for folder in (outputs, checkpoints):
        folder.mkdir(parents=True)
        (folder / "0.npz").write_bytes(bytes(3000))
    os.utime(outputs, (0, 0))
    entries = {entry.kind: entry for entry in stored(home)}
    assert (entries["outputs"].key, entries["outputs"].size) == ("c1", 3000)
    assert (entries["checkpoints"].key, entries["checkpoints"].size) == ("f1", 3000)
    assert not list(faults(entries["outputs"]))
    old = to_prune(stored(home), older_than=30, unused=False, damaged=False)
    assert [entry.kind for entry in old] == ["outputs"]
    remove(entries["outputs"])
    assert not outputs.exists()
    assert checkpoints.exists()
    remove(entries["outputs"])  # the cell was finished meanwhile


def test_outputs_that_tasks_share_are_listed_and_removed(home):
    outputs = home / "outputs" / "o1"
    outputs.mkdir(parents=True)
    (outputs / "0.npz").write_bytes(bytes(3000))
    (entry,) = (entry for entry in stored(home) if entry.kind == "outputs")
    assert (entry.key, entry.size, list(faults(entry))) == ("o1", 3000, [])
    remove(entry)
    assert not outputs.exists()
