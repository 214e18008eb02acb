"""Runs that are killed anywhere, and resumed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time

import pandas as pd
import pytest

from helpers import PLUGINS, words

MATRIX = (
    *words("run -m identity -m counts -m learns -m built -m histogram -t domain1 -t sim-exp"),
    *words("-t sim-bias -t site-elsewhere --cohort tiny --device cpu"),
    *(
        f"--plugin={PLUGINS / name}"
        for name in ("tiny_cohort.py", "odd_methods.py", "built_methods.py", "sample_plugin.py")
    ),
)
CELLS = 20


def finished(home):
    """Return the titles of the cells with complete results, by key."""
    result = {}
    for path in home.glob("cells/[!.]*/result.json"):
        cell = json.loads(path.read_text())["cell"]
        result[path.parent.name] = f"{cell['label']} on {cell['task']}, seed {cell['seed']}"
    return result


def table(home):
    """Return all estimates, by cell."""
    rows = {}
    for path in sorted(home.glob("cells/[!.]*/result.json")):
        content = json.loads(path.read_text())
        rows[content["cell"]["label"], content["cell"]["task"]] = content["estimates"]
        assert (path.parent / "figure.png").read_bytes().startswith(b"\x89PNG")
        assert len(pd.read_csv(path.parent / "scores.csv"))
    return rows


def children(process):
    """Return the process ids of a process's workers."""
    result = subprocess.run(
        ["pgrep", "-P", str(process.pid), "-f", "harmbench.execution.schedule.worker"],
        capture_output=True,
        text=True,
        check=False,
    )
    return [int(line) for line in result.stdout.split()]


def kill(process, kind, home):
    """Kill the parent or a worker, or take the disk away from both for a moment."""
    if kind == "worker" and (workers := children(process)):
        os.kill(random.choice(workers), signal.SIGKILL)
        return
    if kind == "disk":
        subprocess.run(["umount", "--lazy", str(home)], check=True)
        time.sleep(0.5)
    process.kill()
    process.wait()


def interrupted(start, home, kinds, executor, seed):
    """Run all cells with the given kills; return the arguments of `before_cell`, in order."""
    log = home.parent / "hooks.log"
    chosen = random.Random(seed)
    environment = {"SAMPLE_PLUGIN_LOG": str(log), "COUNTS_LOG": str(home.parent / "fits.log")}
    began = {}  # cells that were finished, and how often each had been begun by then
    command = (*MATRIX, *executor)
    kinds = list(kinds)
    while True:
        process = start(*command, **environment)
        before = len(finished(home))
        while kinds and process.poll() is None:
            # Somewhere on the way from the first import to the end.
            deadline = time.monotonic() + chosen.uniform(0.2, 12)
            while time.monotonic() < deadline and process.poll() is None:
                time.sleep(0.05)
            kind = kinds.pop()
            kill(process, kind, home)
            if kind == "disk":
                subprocess.run(
                    ["mount", "--bind", str(home.parent / "disk"), str(home)], check=True
                )
        out, err = process.communicate()
        lines = log.read_text().splitlines() if log.exists() else []
        for key, title in finished(home).items():
            count = lines.count(f"before {title}")
            assert began.setdefault(key, count) == count, f"{title} was computed again"
        if process.returncode == 0 and not kinds:
            return out, err
        assert len(finished(home)) >= before, "a finished cell was lost"
        # A kill between the end of a run and the end of its process leaves nothing to resume.
        runs = [path.parent for path in home.glob("runs/*/options.json")]
        unfinished = any(not (run / "ended").exists() for run in runs)
        command = ("resume",) if unfinished and process.returncode else (*MATRIX, *executor)


def check(start, command, tmp_path, kinds, executor, seed):
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    interrupted(start, home, kinds, executor, seed)
    assert len(finished(home)) == CELLS
    mine = table(home)
    assert not list(home.glob("cells/.*-*")) or all(
        path.name.endswith(".lock") for path in home.glob("cells/.*")
    )
    whole = tmp_path / "whole"
    done = command(*MATRIX, HARMBENCH_HOME=str(whole), COUNTS_LOG=str(tmp_path / "other.log"))
    assert done.returncode == 0, done.stderr
    assert mine == table(whole)
    shown = command("leaderboard", "--format", "csv")
    assert shown.returncode == 0, shown.stderr
    other = command("leaderboard", "--format", "csv", HARMBENCH_HOME=str(whole))
    assert shown.stdout == other.stdout


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("executor", [["--executor", "local", "--workers", "2"], []])
def test_killed_at_twenty_moments(start, command, tmp_path, executor):
    kinds = ["parent", "worker", "parent"] * 4 if executor else ["parent"] * 10
    check(start, command, tmp_path, kinds, executor, 2)


@pytest.mark.timeout(1800)
def test_a_run_survives_a_temporary_loss_of_the_disk(start, command, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "home").mkdir()
    mount = ["mount", "--bind", str(tmp_path / "disk"), str(tmp_path / "home")]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        check(start, command, tmp_path, ["disk"] * 4, ["--executor", "local"], 3)
    finally:
        subprocess.run(["umount", "--lazy", str(tmp_path / "home")], check=False)


@pytest.mark.timeout(900)
def test_two_runs_of_overlapping_matrices_compute_each_cell_once(start, tmp_path):
    log = tmp_path / "hooks.log"
    environment = {"SAMPLE_PLUGIN_LOG": str(log), "COUNTS_LOG": str(tmp_path / "fits.log")}
    processes = [start(*MATRIX, **environment) for _ in range(2)]
    for process in processes:
        _, err = process.communicate()
        assert process.returncode == 0, err
    begun = [line for line in log.read_text().splitlines() if line.startswith("before ")]
    assert len(begun) == len(set(begun)) == CELLS
    assert (tmp_path / "fits.log").read_text().split().count("base") == 1
