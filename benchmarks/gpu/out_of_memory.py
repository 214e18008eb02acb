"""A training that runs out of memory continues with parts of its batches, to the same loss."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from flow import Bench, adam, heads
from torch import Tensor

from gpu.setting import Setting, add_options, setting_of
from harmbench import FitProgress, Phase, train
from harmbench.util import memory
from harmbench_methods.blindharmony.flow.flow import Flow

_STEPS = 3
_SHARE = 0.75  # of the memory that whole batches need; with 0.6, single images failed at times


def measure(setting: Setting) -> dict[str, Any]:
    """Return the number of parts, and the last loss with and without the limit.

    On a CPU the limit is that of the process; on a GPU it is torch's limit of the device.
    """
    free = _training(setting, None)
    limit = int(free["before_mib"] + _SHARE * (free["peak_mib"] - free["before_mib"]))
    tight = _training(setting, max(limit, 1))
    return {
        "peak_mib": free["peak_mib"],
        "limit_mib": limit,
        "parts": tight["micro_batches"],
        "loss": [free["loss"], tight["loss"]],
    }


def _training(setting: Setting, limit: int | None) -> dict[str, Any]:
    """Train in a new process, since a limit holds until a process ends."""
    limited = [] if limit is None else ["--limit", str(limit)]
    done = subprocess.run(
        [sys.executable, "-m", "gpu.out_of_memory", *setting.arguments, *limited],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the training failed: {' '.join(done.stderr.split())[-300:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _used_mib(device: torch.device) -> float:
    """Return what a limit counts, in MiB."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device) / 2**20
    line = Path("/proc/self/status").read_text().split("VmData:")[1]
    return int(line.split()[0]) / 1024


class _Batches:
    """The same batch at every step."""

    def __init__(self, batch: Tensor) -> None:
        self._batch = batch

    def draw(self) -> tuple[Tensor, ...]:
        return (self._batch,)

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing changes."""


def main() -> None:
    """Train, and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--limit", type=int, help="MiB")
    options = parser.parse_args()
    setting = setting_of(options)
    device = setting.device
    # After one failure to allocate, oneDNN creates no convolution any more, however small.
    torch.backends.mkldnn.set_flags(device.type == "cuda")
    size, batch = ("quick", 8) if setting.reduced else ("paper", None)
    bench = Bench(size, device, batch=batch)
    _, H, W = bench.grid.shape
    torch.manual_seed(0)
    flow = Flow(H, W, bench.config).to(device)
    images, _ = heads(bench.batch, H, W)
    before = _used_mib(device)
    if options.limit is not None:
        memory.limit(device, options.limit)
    progress = FitProgress()
    peak = _Peak(device)
    last: list[float] = []

    def loss(x: Tensor) -> Tensor:
        value = flow.bits_per_dimension(x, torch.full_like(x, 0.5)).mean()
        peak.update()
        last.append(float(value.detach()))
        return value

    train(
        flow,
        _Batches(images.to(device)),
        Phase(loss=loss, optimizer=adam(flow, "ours", bench.config.learning_rate)),
        progress,
        name="out of memory",
        steps=_STEPS,
    )
    parts = progress.facts.get("micro_batches", 1)
    print(
        json.dumps(
            {
                "before_mib": before,
                "peak_mib": peak.mib,
                "micro_batches": parts,
                "loss": sum(last[-parts:]) / parts,
            }
        )
    )


class _Peak:
    """The largest memory seen: exact on a GPU, at the end of the forward pass on a CPU."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._largest = 0.0

    def update(self) -> None:
        self._largest = max(self._largest, _used_mib(self._device))

    @property
    def mib(self) -> float:
        if self._device.type == "cuda":
            return memory.peak_bytes(self._device) / 2**20
        return self._largest


if __name__ == "__main__":
    main()
