"""The tests that need a CUDA device."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from gpu.setting import Setting

_ROOT = Path(__file__).parents[2]
OUTCOMES = ("passed", "failed", "skipped", "error")  # as pytest calls one of each


def measure(setting: Setting) -> dict[str, Any]:
    """Return the counts of the outcomes, and the tests that failed or had an error."""
    return outcomes(_ROOT, "-m", "cuda")


def outcomes(folder: Path, *arguments: str) -> dict[str, Any]:
    """Run pytest in a folder; see `measure`.

    Raises
    ------
    RuntimeError
        If pytest does not run the tests.
    """
    options = ("-q", "-rfE", "-p", "no:cacheprovider")
    command = [sys.executable, "-m", "pytest", *options, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    if done.returncode not in (0, 1) or not lines:
        output = " ".join((done.stdout + done.stderr).split())
        raise RuntimeError(f"pytest ended with code {done.returncode}: {output[-300:]}")
    counts = {
        outcome: int(count)
        for count, outcome in re.findall(rf"(\d+) ({'|'.join(OUTCOMES)})", lines[-1])
    }
    failures = [line.partition(" ")[2] for line in lines if line.startswith(("FAILED ", "ERROR "))]
    return dict.fromkeys(OUTCOMES, 0) | counts | {"failures": failures}
