"""Options of executors that depend on the machine: its devices and cores."""

from __future__ import annotations

import pytest
import torch

from harmbench.errors import UserError
from harmbench.execution.plan.request import Request
from harmbench.execution.schedule.executors.options import ExecutorOptions, local_options
from harmbench.execution.schedule.invocation import Invocation
from harmbench.execution.schedule.run_options import RunOptions
from helpers.lanes import Lanes

REQUEST = Request(methods=("a",), tasks=("b",))


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
    options = RunOptions(request=REQUEST, device=device, threads=threads)
    choice = ExecutorOptions("local", workers)
    with (
        Invocation.begin(tmp_path, options, choice.to_json()) as invocation,
        choice.open(invocation, None, Lanes()) as executor,
    ):
        assert executor._options.threads == expected


@pytest.mark.parametrize("device", ["cuda:99", "gpu"])
def test_a_device_that_this_machine_lacks_is_refused_where_the_workers_are_here(device):
    options = RunOptions(request=REQUEST, device=device)
    with pytest.raises(UserError, match=f"no device '{device}'"):
        local_options(ExecutorOptions("local"), options)
    # A node of the cluster may have it.
    assert local_options(ExecutorOptions("slurm"), options).device == "cpu"
