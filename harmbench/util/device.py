"""Choice and description of the device that tensors are on."""

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
    """Turn `auto`, `cpu`, `cuda`, `cuda:N` or `mps` into an available device.

    A GPU has its index, as the devices of tensors have: `cuda` is `cuda:0`.

    Raises
    ------
    UserError
        If the device is not available; the message lists those that are.
    """
    cuda, mps = torch.cuda.device_count(), torch.backends.mps.is_available()
    if name == "auto":
        # Never mps automatically: it has no float64, which some methods need.
        name = "cuda" if cuda else "cpu"
    available = ["cpu", *(f"cuda:{i}" for i in range(cuda)), *(["mps"] if mps else [])]
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"no device '{name}'; expected auto, cpu, cuda, cuda:N or mps") from None
    full_name = f"{device.type}:{device.index or 0}" if device.type == "cuda" else str(device)
    if full_name not in available:
        raise UserError(f"no device '{name}' on this machine; available: {', '.join(available)}")
    return torch.device(full_name)


def describe(device: torch.device) -> str:
    """Return the name of the hardware, for the record."""
    if device.type == "cuda":
        return f"{device}: {torch.cuda.get_device_name(device)}"
    return (
        f"{device}: {platform.processor() or platform.machine()}, {torch.get_num_threads()} threads"
    )


def scans_per_batch(device: torch.device) -> int:
    """Return the number of scans per batch: only several use a GPU fully."""
    return 8 if device.type == "cuda" else 1


_SECONDS_BETWEEN_SAMPLES = 0.5


@contextlib.contextmanager
def watched(device: torch.device) -> Iterator[dict[str, Any]]:
    """Measure a GPU during a block; the mapping holds the measurements after the block.

    `gpu_peak_memory_mib` is measured by torch; `gpu_utilization_percent` is the mean over the
    block, if nvidia-ml-py is installed. Empty for other devices.
    """
    facts: dict[str, Any] = {}
    if device.type != "cuda":
        yield facts
        return
    samples: list[int] = []
    ended = threading.Event()

    def sample() -> None:
        # A driver that reports nothing must not fail a cell.
        with contextlib.suppress(Exception):
            while not ended.wait(_SECONDS_BETWEEN_SAMPLES):
                samples.append(torch.cuda.utilization(device))

    # The statistics do not exist before.
    torch.cuda.init()  # type: ignore[no-untyped-call]
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
