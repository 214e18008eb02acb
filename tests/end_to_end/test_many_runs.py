"""Ten thousand runs are no reason to wait."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest
from many_runs import fill

COMMAND = [Path(sys.executable).with_name("harmbench"), "leaderboard", "--metric", "psnr"]


@pytest.fixture
def seconds(tmp_path, monkeypatch):
    """Call the leaderboard of a home; return its processor time and its output."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def call(home):
        monkeypatch.setenv("HARMBENCH_HOME", str(home))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(COMMAND, capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        # Of the processor, since others may be using it, too.
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return spent, done.stdout

    return call


def test_ten_thousand_runs_cost_little_more_than_a_hundred(tmp_path, seconds):
    fill(tmp_path / "few", 640)
    fill(tmp_path / "many", 10_000)
    few = min(seconds(tmp_path / "few")[0] for _ in range(3))
    first, _ = seconds(tmp_path / "many")
    later = [seconds(tmp_path / "many") for _ in range(3)]
    many, out = min(later)
    assert out.count("method19") >= 4
    assert many < first, "the parsed records were not kept"
    # Sixteen times as many runs: most of the time is that of the start.
    assert many < 4 * few, (few, first, many)
