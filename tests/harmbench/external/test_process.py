from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harmbench.external.process import CommandFault, run_command
from helpers.interruption import wait_for

# Starts a child in the background, writes both process ids, and waits for the child.
FAMILY = """
import os, subprocess, sys
child = subprocess.Popen(["sleep", "600"])
with open(sys.argv[1], "w") as stream:
    stream.write(f"{os.getpid()} {child.pid}\\n")
    stream.flush()
sys.exit(0) if sys.argv[2:] else child.wait()
"""


def run(folder, *command, timeout=60.0, removed=()):
    run_command(command, folder=folder, environment=os.environ, timeout=timeout, removed=removed)


def python(folder, code, *arguments, **options):
    run(folder, sys.executable, "-c", code, *arguments, **options)


def written(path):
    return path.exists() and path.read_text().endswith("\n")


def gone(path):
    """Whether no process remains of those whose ids a file contains."""
    for number in path.read_text().split():
        try:
            status = Path(f"/proc/{number}/stat").read_text()
        except FileNotFoundError:
            continue
        if status.rpartition(")")[2].split()[0] != "Z":
            return False
    return True


def test_the_output_is_logged_line_by_line(tmp_path, caplog) -> None:
    with caplog.at_level(logging.INFO, logger="harmbench.command"):
        python(tmp_path, "import sys; print('one'); sys.stderr.write('two\\n')")
    assert {"one", "two"} <= {record.getMessage() for record in caplog.records}


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("print('reason'); raise SystemExit(3)", "exit code 3; its last line: reason"),
        ("raise SystemExit(1)", "exit code 1; it printed nothing"),
        ("import os; os.kill(os.getpid(), 9)", "signal 9 .possibly out of memory."),
    ],
)
def test_a_failure_is_one_line(tmp_path, code, message) -> None:
    with pytest.raises(CommandFault, match=message):
        python(tmp_path, code)


def test_a_program_that_cannot_be_started_is_named(tmp_path) -> None:
    with pytest.raises(CommandFault, match="'/no/such' cannot be started: No such file"):
        run(tmp_path, "/no/such")


def test_a_command_that_hangs_ends_at_its_timeout_with_its_children(tmp_path) -> None:
    began = time.monotonic()
    with pytest.raises(CommandFault, match=r"within its timeout of 1\.5 s; it printed nothing"):
        python(tmp_path, FAMILY, "pids", timeout=1.5)
    assert time.monotonic() - began < 30
    assert gone(tmp_path / "pids")


def test_processes_that_a_command_leaves_behind_are_ended(tmp_path) -> None:
    python(tmp_path, FAMILY, "pids", "leave")
    wait_for(lambda: gone(tmp_path / "pids"), seconds=20)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_command_ends_with_the_process_that_runs_it(tmp_path, number) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    code = (
        "import os, sys; from pathlib import Path\n"
        "from harmbench.external.process import run_command\n"
        f"run_command([sys.executable, '-c', {FAMILY!r}, 'pids'], folder=Path({str(tmp_path)!r}),"
        f" environment=os.environ, timeout=60, removed=[Path({str(scratch)!r})])"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    pids = tmp_path / "pids"
    wait_for(lambda: written(pids))
    parent.send_signal(number)
    parent.wait(timeout=60)
    wait_for(lambda: gone(pids), seconds=30)
    if number is signal.SIGKILL:
        wait_for(lambda: not scratch.exists(), seconds=30)
    else:
        assert scratch.exists()  # its owner removes it
