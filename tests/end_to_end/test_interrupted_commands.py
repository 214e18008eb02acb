"""Command methods on two workers: killed, interrupted and hanging, and then resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from helpers import TINY_COHORT, words
from helpers.commands import CLASS, TOML, TOOL, Tool
from helpers.interruption import interruptible, wait_for

RUN = (
    *words("run --plugin tool.toml --plugin darker.py -m tool -m darker -t domain1 -t sim-exp"),
    *words("--cohort tiny:16 --executor local --workers 2"),
    *TINY_COHORT[:2],
)
CELLS, SCANS = 2, 5
# Of every cell: the scans, and two again, to check that scans do not depend on others.
CALLS = CELLS * (SCANS + 2)
# A child of the command would survive it, if only the command were killed.
SLOW = TOOL.replace("import array", "import subprocess, array").replace(
    "    content = gzip",
    """
    subprocess.run(["sleep", (FOLDER / "seconds").read_text()], check=True)
    content = gzip""",
)


@pytest.fixture
def tool(tmp_path):
    made = Tool(tmp_path, f"{TOML}timeout = 8\n")
    (tmp_path / "tool.py").write_text(SLOW)
    (tmp_path / "darker.py").write_text(CLASS)
    (tmp_path / "seconds").write_text("0.83")
    return made


def processes(pattern):
    found = subprocess.run(["pgrep", "-f", pattern], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


def estimates(home):
    values = {}
    for path in home.glob("cells/[!.]*/result.json"):
        content = json.loads(path.read_text())
        values[content["cell"]["method"], content["cell"]["task"]] = content["estimates"]
    return values


def assert_nothing_is_left(tmp_path):
    names = str(tmp_path / "tool.py"), "sleep 0.83", "sleep 830"
    # A command has five seconds to end by itself.
    wait_for(lambda: not any(map(processes, names)), seconds=10)


def end(kind, process, tmp_path):
    if kind == "interrupt":
        process.send_signal(signal.SIGINT)
    elif kind == "parent":
        process.kill()
    else:
        pattern = {"worker": "harmbench.execution.schedule.worker", "tool": tmp_path / "tool.py"}
        children = processes(f"{pattern[kind]}.*")
        own = [child for child in children if belongs(child, process.pid)]
        os.kill(own[-1], signal.SIGKILL)


def belongs(child, ancestor):
    """Whether a process descends from another."""
    while child > 1 and child != ancestor:
        child = int(Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[1])
    return child == ancestor


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("kind", "code"), [("tool", 1), ("worker", 0), ("interrupt", 130), ("parent", -signal.SIGKILL)]
)
def test_a_killed_command_repeats_only_the_scans_in_flight(
    start, command, tool, tmp_path, kind, code
):
    with interruptible():
        process = start(*RUN)
    wait_for(lambda: len(tool.calls) >= 5, process)
    end(kind, process, tmp_path)
    _, err = process.communicate()
    assert process.returncode == code, err
    assert_nothing_is_left(tmp_path)
    assert err.count("killed by signal 9") == (kind in ("tool", "worker"))
    resumed = command(*(("resume",) if kind in ("interrupt", "parent") else RUN))
    assert resumed.returncode == 0, resumed.stderr
    # A cell with a scan that failed is scored twice, and so are two of its scans repeated.
    in_flight = {"tool": 1 + 2, "worker": 1}.get(kind, CELLS)
    assert len(tool.calls) <= CALLS + in_flight
    values = estimates(tmp_path / "home")
    assert len(values) == 2 * CELLS
    for (method, task), numbers in values.items():
        assert numbers == values["darker", task], method


@pytest.mark.timeout(600)
def test_a_command_that_hangs_ends_at_its_timeout_with_one_message(command, tool, tmp_path):
    (tmp_path / "tool.py").write_text(
        SLOW.replace('["sleep",', '["sleep", "830" if names.index(path.name) == 1 else')
    )
    began = time.monotonic()
    done = command(*RUN)
    assert done.returncode == 1
    assert time.monotonic() - began < 120
    messages = [line for line in done.stderr.splitlines() if "within its timeout of 8 s" in line]
    assert len(messages) == CELLS, done.stderr
    assert done.stdout.startswith("4 cells: 4 done")
    assert_nothing_is_left(tmp_path)
