"""Slices per second from the prepared cohort on disk to batches on the device."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch

from gpu.setting import Setting, duration, spread
from harmbench import ScanSet, SliceBatches, torch_generator
from harmbench.data.scans import GRIDS
from harmbench.testing.tiny import write_cohort
from harmbench.training import batches


def measure(setting: Setting) -> dict[str, Any]:
    """Return slices per second: of reading all, and of batches, kept on the device or read."""
    size, draws = (32, 5) if setting.reduced else (256, 200)
    with tempfile.TemporaryDirectory() as folder:
        cohort = write_cohort(
            Path(folder) / "cohort", GRIDS["quick" if setting.reduced else "paper"]
        )
        scans = cohort.scans(cohort.target, "train")
        kept = _batches(scans, size, setting.device)
        opening = duration(lambda: _batches(scans, size, setting.device), setting.device)
        budget = batches.memory_budget
        try:
            batches.memory_budget = lambda device: 0  # as for a cohort larger than the memory
            read = _batches(scans, size, setting.device)
        finally:
            batches.memory_budget = budget
        return {
            "slices per batch": size,
            "pixels": scans.grid.shape[1] * scans.grid.shape[2],
            "reading": scans.n_slices / opening,
            "kept on the device": _rate(kept, draws, size, setting),
            "read for each batch": _rate(read, draws, size, setting),
        }


def _batches(scans: ScanSet, size: int, device: torch.device) -> SliceBatches:
    return SliceBatches(scans, size=size, device=device, generator=torch_generator(0, "benchmark"))


def _rate(source: SliceBatches, draws: int, size: int, setting: Setting) -> list[float]:
    """Return slices per second: the median and the quartiles."""

    def draw() -> None:
        for _ in range(draws):
            source.draw()

    draw()
    seconds = [duration(draw, setting.device) for _ in range(setting.repeats)]
    return spread([draws * size / value for value in seconds])
