"""The tests that need a CUDA device."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from gpu.setting import Setting

_ROOT = Path(__file__).parents[2]


def measure(setting: Setting) -> dict[str, Any]:
    """Return how many tests passed, failed and were skipped, and the names of those that failed."""
    command = [sys.executable, "-m", "pytest", "-m", "cuda", "-q", "-rf", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    if done.returncode not in (0, 1) or not lines:
        output = " ".join((done.stdout + done.stderr).split())
        raise RuntimeError(f"pytest ended with code {done.returncode}: {output[-300:]}")
    counts = {
        outcome: int(count)
        for count, outcome in re.findall(r"(\d+) (passed|failed|skipped|error)", lines[-1])
    }
    failures = [line.partition(" ")[2] for line in lines if line.startswith("FAILED")]
    return {"passed": 0, "failed": 0, "skipped": 0} | counts | {"failures": failures}
