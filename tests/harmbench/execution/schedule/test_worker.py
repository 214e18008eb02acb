"""A worker process ends with its parent."""

from __future__ import annotations

import json
import subprocess
import sys

from harmbench.data.cohort_request import CohortRequest
from harmbench.execution.plan.request import Request
from harmbench.execution.schedule.run_options import RunOptions
from helpers import PLUGINS


def test_a_worker_ends_if_its_parent_was_killed_within_a_line(tmp_path):
    request = Request(methods=("identity",), tasks=("domain1",), cohort=CohortRequest("tiny"))
    options = RunOptions(request=request, plugins=(PLUGINS / "tiny_cohort.py",), device="cpu")
    start = {"options": options.to_json(), "home": str(tmp_path), "logs": str(tmp_path / "logs")}
    ended = subprocess.run(
        [sys.executable, "-m", "harmbench.execution.schedule.worker"],
        input=f'{json.dumps(start)}\n{{"key": "half a ke',
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0
    assert ended.stderr == ""
