"""Where and how large the parts are measured, and how durations are measured."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from flow import seconds


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What every part is given.

    Attributes
    ----------
    device
        Device that is measured.
    reduced
        Whether sizes are reduced so far that a CPU finishes: the numbers are no results then.
    folder
        Folder for the parts' own files, kept between calls.
    minutes
        Minutes of training.
    """

    device: torch.device
    reduced: bool
    folder: Path
    minutes: float

    @property
    def repeats(self) -> int:
        """Number of timed repeats."""
        return 2 if self.reduced else 15

    @property
    def arguments(self) -> list[str]:
        """The command line options that a new process reads the setting from."""
        reduced = ["--reduced"] if self.reduced else []
        options = ["--device", str(self.device), "--folder", str(self.folder)]
        return [*options, "--minutes", str(self.minutes), *reduced]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a setting."""
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--folder", type=Path, default=Path("gpu-results"))
    parser.add_argument("--minutes", type=float, default=30.0, help="minutes of training")
    parser.add_argument("--reduced", action="store_true", help="small sizes; always on a CPU")


def setting_of(options: argparse.Namespace) -> Setting:
    """Return the setting of a command line."""
    from harmbench.util.device import resolve

    device = resolve(options.device)
    return Setting(
        device=device,
        reduced=options.reduced or device.type != "cuda",
        folder=options.folder.absolute(),
        minutes=options.minutes,
    )


def duration(operation: Callable[[], object], device: torch.device) -> float:
    """Return the wall time of an operation in seconds."""
    return seconds(operation, device, time.perf_counter)


def interleaved(
    operations: dict[str, Callable[[], object]], repeats: int, device: torch.device
) -> dict[str, list[float]]:
    """Return the seconds of every repeat; the operations alternate after one warm-up each."""
    for operation in operations.values():
        duration(operation, device)
    durations: dict[str, list[float]] = {name: [] for name in operations}
    for _ in range(repeats):
        for name, operation in operations.items():
            durations[name].append(duration(operation, device))
    return durations


def spread(values: list[float]) -> list[float]:
    """Return the median and the quartiles: `[median, low, high]`."""
    if len(values) < 2:
        return values * 3
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return [median, low, high]
