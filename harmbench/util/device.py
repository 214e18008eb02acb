"""The one module that decides where tensors live."""

from __future__ import annotations

import contextlib
import platform
import statistics
import threading
from collections.abc import Iterator
from typing import Any

import torch

from harmbench.errors import UserError


def resolve(name: str) -> torch.device:
    """Turn `auto`, `cpu`, `cuda`, `cuda:N` or `mps` into a device that is there.

    Raises
    ------
    UserError
        If there is no such device, with the ones that are.
    """
    cuda, mps = torch.cuda.device_count(), torch.backends.mps.is_available()
    if name == "auto":
        # Not mps unless it is asked for: it has no float64, which some methods need.
        name = "cuda" if cuda else "cpu"
    there = ["cpu", *(f"cuda:{i}" for i in range(cuda)), *(["mps"] if mps else [])]
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"no device '{name}'; say auto, cpu, cuda, cuda:N or mps") from None
    found = f"{device.type}:{device.index or 0}" if device.type == "cuda" else str(device)
    if found not in there:
        raise UserError(f"no device '{name}' on this machine; there are: {', '.join(there)}")
    return device


def describe(device: torch.device) -> str:
    """Name the hardware, for the record."""
    if device.type == "cuda":
        return f"{device}: {torch.cuda.get_device_name(device)}"
    return (
        f"{device}: {platform.processor() or platform.machine()}, {torch.get_num_threads()} threads"
    )


def scans_per_batch(device: torch.device) -> int:
    """How many scans are harmonised at once: a GPU is only full with several."""
    return 8 if device.type == "cuda" else 1


_SECONDS_BETWEEN_SAMPLES = 0.5


@contextlib.contextmanager
def watched(device: torch.device) -> Iterator[dict[str, Any]]:
    """Watch a GPU during a block; at its end, facts about it are in the mapping given.

    They are `gpu_peak_memory_mib`, torch's own, and `gpu_utilization_percent`, the mean over
    the block, where nvidia-ml-py is installed. Of other devices there are none.
    """
    facts: dict[str, Any] = {}
    if device.type != "cuda":
        yield facts
        return
    samples: list[int] = []
    ended = threading.Event()

    def sample() -> None:
        # Whatever keeps a driver from telling is no reason to fail a cell.
        with contextlib.suppress(Exception):
            while not ended.wait(_SECONDS_BETWEEN_SAMPLES):
                samples.append(torch.cuda.utilization(device))

    torch.cuda.reset_peak_memory_stats(device)
    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    try:
        yield facts
    finally:
        ended.set()
        sampler.join()
        facts["gpu_peak_memory_mib"] = torch.cuda.max_memory_allocated(device) / 2**20
        if samples:
            facts["gpu_utilization_percent"] = statistics.mean(samples)
