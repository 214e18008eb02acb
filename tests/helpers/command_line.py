"""The command line, called as a user calls it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import harmbench.cli

# Commands that record: they need an MLflow store.
RECORDING = ("run", "ablate", "score")


def python(*arguments, cwd, **environment):
    """Run `python -m ...` in a folder, on one thread; return the ended process."""
    return subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def start(tmp_path, home_with_store):
    """Start `harmbench ...` in a new process, with the home of the test."""

    def begin(*arguments: str, **environment: str) -> subprocess.Popen[str]:
        if arguments[0] in RECORDING and not {"HARMBENCH_HOME", "MLFLOW_TRACKING_URI"} & {
            *environment
        }:
            home_with_store(tmp_path / "home")
        return subprocess.Popen(
            [Path(sys.executable).with_name("harmbench"), *map(str, arguments)],
            env={
                **os.environ,
                "HARMBENCH_HOME": str(tmp_path / "home"),
                "COLUMNS": "200",
                "OMP_NUM_THREADS": "1",
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
        )

    return begin


@pytest.fixture
def command(start):
    """Run `harmbench ...` to its end."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        process = start(*arguments, **environment)
        out, err = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return run


@pytest.fixture
def mistake(tmp_path, monkeypatch, capsys):
    """Call the command line in this process; return its one line of complaint."""
    monkeypatch.setenv("HARMBENCH_HOME", str(tmp_path / "home"))

    def call(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["harmbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            harmbench.cli.main()
        captured = capsys.readouterr()
        assert caught.value.code == 2
        assert captured.out == ""
        (line,) = captured.err.splitlines()
        assert line.startswith("error: ")
        return line

    return call


def load_plugins_again(monkeypatch):
    """Let the next command load plugins; the commands that they add last until the test ends."""
    monkeypatch.setattr(harmbench.cli.cli, "_loaded", False)
    monkeypatch.setattr(harmbench.cli.cli, "commands", dict(harmbench.cli.cli.commands))


@pytest.fixture
def inside(tmp_path, monkeypatch, capfd, home_with_store):
    """Call the command line in this process, in a folder of the test's own.

    A new process imports torch and MLflow again, which takes 5 seconds; so a test starts one
    (`start`, `command`) only for what a process is needed for. Environment variables stay set
    until the test ends. Returns the exit code, the output and the errors.
    """
    monkeypatch.setenv("HARMBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, **environment: str) -> tuple[int, str, str]:
        if arguments[0] in RECORDING:
            home_with_store(tmp_path / "home")
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["harmbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            harmbench.cli.main()
        return caught.value.code, *capfd.readouterr()

    return call
