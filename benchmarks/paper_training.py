"""The paper preset of BlindHarmony's flow on a CPU: cost of a step, and loss next to nflows.

::

    python benchmarks/paper_training.py step --micro-batches 3
    python benchmarks/paper_training.py losses losses.csv --steps 300 --shrink 2 --batch 2

`step` times parts of 2 slices at paper size with the loss and the gradient accumulation of a fit,
and projects them to a step of 256 slices and to all steps. `losses` trains our flow and the same
flow of stock nflows layers from one state on the same batches, and writes a row per step.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import statistics
import time
from pathlib import Path

import torch
from flow import adam, heads, settled_state
from stock_flow import stock_flow
from torch import Tensor

from harmbench import torch_generator
from harmbench.data.scans import GRIDS
from harmbench.util import memory
from harmbench_methods.blindharmony.config import PRESETS, BlindHarmonyConfig
from harmbench_methods.blindharmony.flow.flow import Flow

CPU = torch.device("cpu")
SLICES_OF_PART = 2
POOL = 64  # slices that batches are drawn from
CONFIG = dataclasses.replace(PRESETS["paper"], mixed_precision=False)


def step_cost(parts: int) -> None:
    """Print the cost of a step of the preset, projected from some parts of its batch."""
    _, H, W = GRIDS["paper"].shape
    torch.manual_seed(0)
    flow = Flow(H, W, CONFIG).train()
    optimizer = adam(flow, "ours", CONFIG.learning_rate)
    images, _ = heads(SLICES_OF_PART * (parts + 1), H, W)
    optimizer.zero_grad()
    cpu, wall = [], []
    for part in images.split(SLICES_OF_PART):
        before = time.process_time(), time.perf_counter()
        share = SLICES_OF_PART / CONFIG.batch_size
        (flow.bits_per_dimension(part, torch.full_like(part, 0.5)).mean() * share).backward()
        cpu.append(time.process_time() - before[0])
        wall.append(time.perf_counter() - before[1])
    start = time.process_time()
    optimizer.step()
    update = time.process_time() - start
    # The first part sets up the activation norms.
    part_cost = statistics.median(cpu[1:])
    count = CONFIG.batch_size // SLICES_OF_PART
    step = count * part_cost + update
    print(
        f"part of {SLICES_OF_PART} slices, CPU s   {part_cost:.2f} "
        f"[{min(cpu[1:]):.2f}, {max(cpu[1:]):.2f}], n = {parts}; wall {min(wall[1:]):.2f} or more"
    )
    print(f"update of Adam, CPU s      {update:.3f}")
    print(f"peak of the process        {memory.peak_bytes(CPU) / 2**20:.0f} MiB")
    print(f"step of {CONFIG.batch_size}: {count} parts    {step:.0f} CPU s (projected)")
    hours = step * CONFIG.training_steps / 3600
    print(f"{CONFIG.training_steps} steps               {hours:.0f} hours of one core (projected)")


def compare_losses(file: Path, steps: int, shrink: int, batch: int) -> None:
    """Train both flows on the same batches, and write a row of losses per step."""
    _, H, W = GRIDS["paper"].shape
    H, W = ((side // shrink) // 16 * 16 for side in (H, W))
    config: BlindHarmonyConfig = dataclasses.replace(CONFIG, batch_size=batch)
    pool, _ = heads(POOL, H, W)
    state = settled_state(H, W, config, pool[:8])
    flows = {"stock": stock_flow(H, W, config), "ours": Flow(H, W, config)}
    optimizers = {}
    for name, flow in flows.items():
        flow.load_state_dict(state)
        flow.train()
        optimizers[name] = adam(flow, name, config.learning_rate)
    generator = torch_generator(0, "benchmark", "batches")
    with file.open("w", newline="", buffering=1) as stream:
        rows = csv.writer(stream)
        rows.writerow(("step", "slices", "height", "width", "stock", "ours", "stock_s", "ours_s"))
        for step in range(1, steps + 1):
            chosen = torch.randint(POOL, (batch,), generator=generator)
            noise = torch.rand((batch, H, W), generator=generator)
            losses, spent = {}, {}
            for name, flow in flows.items():
                start = time.process_time()
                losses[name] = one_step(flow, optimizers[name], pool[chosen], noise)
                spent[name] = time.process_time() - start
            values = [f"{losses[name]:.6f}" for name in flows]
            rows.writerow((step, batch, H, W, *values, *(f"{spent[name]:.3f}" for name in flows)))


def one_step(flow: Flow, optimizer: torch.optim.Optimizer, x: Tensor, noise: Tensor) -> float:
    """Update a flow on one batch; return its bits per dimension before the update."""
    optimizer.zero_grad()
    loss = flow.bits_per_dimension(x, noise).mean()
    loss.backward()
    optimizer.step()
    return float(loss.detach())


def main() -> None:
    """Run one of the two measurements."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    step = commands.add_parser("step")
    step.add_argument("--micro-batches", type=int, default=3, help="parts that are timed")
    losses = commands.add_parser("losses")
    losses.add_argument("file", type=Path, help="CSV file of the loss curves")
    losses.add_argument("--steps", type=int, default=300)
    losses.add_argument("--shrink", type=int, default=1, help="divides the sides of the grid")
    losses.add_argument("--batch", type=int, default=SLICES_OF_PART)
    args = parser.parse_args()
    if args.command == "step":
        step_cost(args.micro_batches)
    else:
        compare_losses(args.file, args.steps, args.shrink, args.batch)


if __name__ == "__main__":
    main()
