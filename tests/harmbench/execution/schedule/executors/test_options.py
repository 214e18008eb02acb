"""Options of executors that depend on the machine."""

from __future__ import annotations

import pytest
import torch

from harmbench.execution.plan.request import Request
from harmbench.execution.schedule.executors.options import ExecutorOptions
from harmbench.execution.schedule.invocation import Invocation
from harmbench.execution.schedule.run_options import RunOptions


class NoLanes:
    """Shows nothing: no worker starts."""


@pytest.mark.parametrize(
    ("device", "gpus", "workers", "threads", "expected"),
    [
        ("cpu", 0, 2, None, 8),
        ("auto", 4, None, None, 4),
        ("cuda", 4, 8, None, 2),
        ("auto", 4, None, 3, 3),
    ],
)
def test_cores_are_divided_among_local_workers(
    tmp_path, monkeypatch, device, gpus, workers, threads, expected
):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: range(16), raising=False)
    options = RunOptions(
        request=Request(methods=("a",), tasks=("b",)), device=device, threads=threads
    )
    choice = ExecutorOptions("local", workers)
    invocation = Invocation.begin(tmp_path, options, choice.to_json())
    with choice.open(invocation, None, NoLanes()) as executor:
        assert executor._options.threads == expected
