"""The command line, called as a user calls it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import harmbench.cli


@pytest.fixture
def command(tmp_path):
    """Run `harmbench ...` in a process of its own, with a home of the test's own."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [Path(sys.executable).with_name("harmbench"), *map(str, arguments)],
            env={**os.environ, "HARMBENCH_HOME": str(tmp_path / "home"), "COLUMNS": "200",
                 "OMP_NUM_THREADS": "1", **environment},
            capture_output=True, text=True, check=False, cwd=tmp_path,
        )  # fmt: skip

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
