"""One training step of BlindHarmony's flow, computed in six ways, and harmonisation in two.

Stock nflows and ours have the same parameters. The variants in bfloat16, compiled, and with
gradients by a CUDA graph are of ours. A variant that a device cannot run is named with the reason.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from flow import Bench, adam, compute_gradients, heads, train_step, update
from torch import Tensor

from gpu.setting import Setting, interleaved, spread
from harmbench.errors import one_line
from harmbench.training.gradients import STEPS_TO_GRAPH, GraphedGradients
from harmbench.util.precision import autocast, has_bfloat16
from harmbench_methods.blindharmony.flow.flow import Flow

SIZES = ("quick", "paper")
# Batch, slices of the scan, and iterations, by size: what a CPU finishes in a minute.
_REDUCED = {"quick": (2, 4, 1), "paper": (1, 1, 1)}
# The same on a GPU; None is the preset's number. The memory of all variants is in use at once,
# so that whole batches of paper size (256) do not fit.
_WHOLE = {"quick": (None, None, None), "paper": (64, None, None)}
Step = Callable[[], object]


def measure(setting: Setting) -> dict[str, Any]:
    """Return medians and quartiles of seconds by size, operation and variant."""
    warnings.filterwarnings("ignore", message="torch.triangular_solve is deprecated")
    return {size: _size(size, setting) for size in SIZES}


def _size(size: str, setting: Setting) -> dict[str, Any]:
    batch, slices, iterations = (_REDUCED if setting.reduced else _WHOLE)[size]
    bench = Bench(size, setting.device, batch=batch, slices=slices, iterations=iterations)
    state = bench.state()
    stock, ours = (bench.operations(kind, state) for kind in ("stock", "ours"))
    steps: dict[str, Step] = {"stock nflows": stock["training step"], "ours": ours["training step"]}
    failures: dict[str, str] = {}
    for name, build in _VARIANTS.items():
        try:
            steps[name] = build(bench, state)
            steps[name]()
        except Exception as error:  # compilers and drivers raise errors of many types
            steps.pop(name, None)
            failures[name] = one_line(error)
    training = interleaved(steps, setting.repeats, setting.device)
    harmonise = interleaved(
        {"stock nflows": stock["harmonise"], "ours": ours["harmonise"]},
        max(2, setting.repeats // 3),
        setting.device,
    )
    return {
        "batch": bench.batch,
        "slices": bench.grid.shape[0],
        "iterations": bench.config.iterations,
        "training step": {name: spread(values) for name, values in training.items()},
        "harmonise": {name: spread(values) for name, values in harmonise.items()},
        "failures": failures,
    }


def _new(bench: Bench, state: dict[str, Tensor]) -> tuple[Flow, Tensor]:
    """Return a flow in train mode, and a batch `(B, H, W)`."""
    _, H, W = bench.grid.shape
    flow = Flow(H, W, bench.config).to(bench.device)
    flow.load_state_dict(copy.deepcopy(state))
    images, _ = heads(bench.batch, H, W)
    return flow.train(), images.to(bench.device)


def _bfloat16(bench: Bench, state: dict[str, Tensor]) -> Step:
    flow, batch = _new(bench, state)
    optimizer = adam(flow, "ours", bench.config.learning_rate)
    bits = _in_bfloat16(flow, bench.device)
    return lambda: train_step(flow, optimizer, batch, bits)


def _in_bfloat16(flow: Flow, device: torch.device) -> Callable[[Tensor, Tensor], Tensor]:
    if not has_bfloat16(device):
        raise RuntimeError("the hardware has no bfloat16")

    def bits(x: Tensor, noise: Tensor) -> Tensor:
        with autocast(device):
            return flow.bits_per_dimension(x, noise)

    return bits


def _compiled(bench: Bench, state: dict[str, Tensor]) -> Step:
    flow, batch = _new(bench, state)
    optimizer = adam(flow, "ours", bench.config.learning_rate)
    # Every size has its own graph: with dynamic shapes, compilation fails on the squeeze layers.
    bits = torch.compile(flow.bits_per_dimension, dynamic=False)
    return lambda: train_step(flow, optimizer, batch, bits)


def _graph(bench: Bench, state: dict[str, Tensor], *, bfloat16: bool = False) -> Step:
    if bench.device.type != "cuda":
        raise RuntimeError("CUDA graphs need a CUDA device")
    flow, batch = _new(bench, state)
    optimizer = adam(flow, "ours", bench.config.learning_rate)
    bits = _in_bfloat16(flow, bench.device) if bfloat16 else flow.bits_per_dimension

    def compute(batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
        compute_gradients(optimizer, *batch, bits)
        return {}

    lines: list[str] = []
    gradients = GraphedGradients(
        compute, list(flow.parameters()), lines.append, generators=(), device=bench.device
    )

    def step() -> None:
        gradients((batch,))
        update(flow, optimizer)

    for _ in range(STEPS_TO_GRAPH):
        step()
    if lines:
        raise RuntimeError(lines[0])
    return step


_VARIANTS: dict[str, Callable[[Bench, dict[str, Tensor]], Step]] = {
    "ours, bfloat16": _bfloat16,
    "ours, compiled": _compiled,
    "ours, CUDA graph": _graph,
    "ours, bfloat16, CUDA graph": partial(_graph, bfloat16=True),
}
