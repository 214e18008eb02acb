"""Speed of BlindHarmony's flow relative to the same flow with nflows' own layers.

Both flows have the same parameters and run the same operations alternately in one process, so
that other load on the machine affects both alike::

    python benchmarks/flow.py --size quick
    python benchmarks/flow.py --size paper --batch 2 --slices 4 --iterations 2

README.md in this folder describes the measurements and lists results.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stock_flow import stock_flow, stock_harmonize
from torch import Tensor, nn

from harmbench import Grid, Scans, torch_generator
from harmbench.data.scans import GRIDS
from harmbench_methods.blindharmony.config import PRESETS, BlindHarmonyConfig
from harmbench_methods.blindharmony.flow.flow import Flow
from harmbench_methods.blindharmony.flow.inference import FrozenFlow
from harmbench_methods.blindharmony.method import BlindHarmony

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
KINDS = ("stock", "ours")
OPERATIONS = ("training step", "encode", "decode", "harmonise")
# Functions that are timed, by name.
Operations = dict[str, Callable[[], Any]]
# Steps that bring a new flow's activations to the scale of a trained one.
SETTLING_STEPS = 5


def heads(count: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Draw slices `(count, H, W)` of three tissues on black, and their masks."""
    random = torch_generator(0, "benchmark", "heads")
    y = torch.linspace(-1, 1, height)[:, None]
    x = torch.linspace(-1, 1, width)
    folds = torch.randn(count, 1, height // 8, width // 8, generator=random)
    folds = nn.functional.interpolate(folds, (height, width), mode="bicubic")[:, 0]
    radius = torch.hypot(x / 0.85, y / 0.85) + 0.15 * folds
    image = torch.where(radius < 0.4, 0.35, torch.where(radius < 0.8, 0.95, 0.6))
    image = image + 0.02 * torch.randn(image.shape, generator=random)
    mask = radius < 1
    return torch.where(mask, image, 0.0).clamp(0, 1), mask


def adam(flow: Flow, kind: str, learning_rate: float) -> torch.optim.Optimizer:
    """Return torch's optimiser; ours is fused, as in a fit."""
    return torch.optim.Adam(flow.parameters(), lr=learning_rate, fused=kind == "ours" or None)


def train_step(
    flow: Flow,
    optimizer: torch.optim.Optimizer,
    x: Tensor,
    bits_per_dimension: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> None:
    """Run one step of maximum likelihood, as a fit does."""
    compute_gradients(optimizer, x, bits_per_dimension or flow.bits_per_dimension)
    update(flow, optimizer)


def compute_gradients(
    optimizer: torch.optim.Optimizer,
    x: Tensor,
    bits_per_dimension: Callable[[Tensor, Tensor], Tensor],
) -> None:
    """Compute the gradients of a training step in `.grad`."""
    optimizer.zero_grad()
    bits_per_dimension(x, torch.full_like(x, 0.5)).mean().backward()


def update(flow: Flow, optimizer: torch.optim.Optimizer) -> None:
    """Clip the gradients, and update the parameters."""
    nn.utils.clip_grad_norm_(flow.parameters(), 50.0)
    optimizer.step()


def settled_state(height: int, width: int, config: BlindHarmonyConfig, x: Tensor) -> dict:
    """Return the state of a flow after `SETTLING_STEPS` training steps."""
    torch.manual_seed(0)
    flow = Flow(height, width, config).to(x.device).train()
    optimizer = torch.optim.Adam(flow.parameters(), lr=config.learning_rate)
    for _ in range(SETTLING_STEPS):
        train_step(flow, optimizer, x)
    return flow.state_dict()


class Watched(BlindHarmony):
    """BlindHarmony that counts how often slices were repeated in float64."""

    fallbacks = 0

    def _frozen(self) -> Callable[[torch.dtype], FrozenFlow]:
        frozen = super()._frozen()

        def watched(dtype: torch.dtype) -> FrozenFlow:
            self.fallbacks += dtype is torch.float64
            return frozen(dtype)

        return watched


class Bench:
    """The operations of one size, for either kind of flow; None is the preset's number."""

    def __init__(
        self,
        size: str,
        device: torch.device | str,
        *,
        batch: int | None = None,
        slices: int | None = None,
        iterations: int | None = None,
        at_once: int | None = None,
    ) -> None:
        preset, grid = PRESETS[size], GRIDS[size]
        S, H, W = grid.shape
        self.device = torch.device(device)
        self.config = dataclasses.replace(
            preset,
            positions=False,  # nflows' networks have none
            iterations=iterations or preset.iterations,
            slices_at_once=at_once or preset.slices_at_once,
        )
        self.grid = Grid(grid.name, (slices or S, H, W), grid.spacing)
        self.batch = batch or preset.batch_size

    def state(self) -> dict:
        """Return the parameters of both flows."""
        _, H, W = self.grid.shape
        x, _ = heads(min(self.batch, 8), H, W)
        return settled_state(H, W, self.config, x.to(self.device))

    def operations(self, kind: str, state: dict) -> Operations:
        """Return the functions that are timed, by name."""
        S, H, W = self.grid.shape
        flow = (Flow if kind == "ours" else stock_flow)(H, W, self.config).to(self.device)
        flow.load_state_dict(state)
        images, masks = heads(max(S, self.batch), H, W)
        batch = images[: self.batch].to(self.device)
        scan = Scans(
            images=images[None, :S],
            masks=masks[None, :S],
            subjects=("p",),
            sessions=("s",),
            positions=torch.zeros(S),
        )
        scan = scan.to(self.device)
        mean = images[:S].mean(dim=0).expand(S, H, W).to(self.device)

        trained = copy.deepcopy(flow).train()
        optimizer = adam(trained, kind, self.config.learning_rate)
        bits = trained.bits_per_dimension
        flow.eval()
        v = (images[: min(S, self.config.slices_at_once)] - 0.5).to(self.device)
        encode, decode = torch.no_grad()(flow.encode), torch.no_grad()(flow.decode)
        z = torch.randn(v.flatten(1).shape).to(self.device)

        if kind == "ours":
            self.ours = method = Watched(self.grid, self.config).to(self.device)
            method.flow.load_state_dict(state)
            method.mean.copy_(mean)

            def harmonize() -> Tensor:
                method.fallbacks = 0
                return method(scan).images[0]
        else:
            noise = torch.rand(
                self.grid.shape, generator=torch_generator(0, "blindharmony", "noise", "p", "s")
            ).to(self.device)

            def harmonize() -> Tensor:
                return stock_harmonize(flow, self.config, scan, noise, mean)

        return {
            "training step": lambda: train_step(trained, optimizer, batch, bits),
            "encode": lambda: encode(v),
            "decode": lambda: decode(z),
            "harmonise": harmonize,
        }

    def describe(self) -> dict[str, str]:
        """Return the sizes of each operation, for the table."""
        at_once = min(self.grid.shape[0], self.config.slices_at_once)
        return {
            "training step": f"{self.batch} slices",
            "encode": f"{at_once} slices",
            "decode": f"{at_once} slices",
            "harmonise": f"{self.grid.shape[0]} slices, {at_once} at once, "
            f"{self.config.iterations} iterations",
        }


def seconds(
    operation: Callable[[], object], device: torch.device, clock: Callable[[], float]
) -> float:
    """Return the duration of an operation in seconds."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = clock()
    operation()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock() - start


def high_water_mark() -> float:
    """Return the peak resident memory of this process in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def peak_mib(operation: Callable[[], object], device: torch.device) -> float:
    """Return the peak memory of an operation in MiB, minus the memory in use before it."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        operation()
        return (torch.cuda.max_memory_allocated(device) - before) / 2**20
    # Linux resets the mark to the current resident memory.
    Path("/proc/self/clear_refs").write_text("5")
    before = high_water_mark()
    operation()
    return high_water_mark() - before


def peak_in_new_process(kind: str, name: str, state: Path) -> float:
    """Measure the peak memory of one operation in a new process, in MiB."""
    command = [sys.executable, __file__, *sys.argv[1:], "--peak", kind, name, str(state)]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(result.stdout)


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=("quick", "paper"), default="quick")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--clock", choices=CLOCKS, default="wall", help="cpu: for a machine with other load"
    )
    parser.add_argument("--batch", type=int, help="slices of a training step")
    parser.add_argument("--slices", type=int, help="slices of the scan to harmonise")
    parser.add_argument("--at-once", type=int, help="slices per call of the flow")
    parser.add_argument("--iterations", type=int, help="iterations of the loop")
    parser.add_argument("--only", choices=OPERATIONS, nargs="+", default=OPERATIONS)
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


def machine(args: argparse.Namespace) -> str:
    """Describe the machine and the torch version."""
    if args.device.startswith("cuda"):
        return f"{torch.cuda.get_device_name(args.device)}, torch {torch.__version__}"
    names = [
        line.split(":")[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return (
        f"{names[0] if names else platform.processor()}, {len(names)} cores, "
        f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}, "
        f"torch {torch.__version__}"
    )


def time_operations(
    bench: Bench, operations: dict[str, Operations], args: argparse.Namespace
) -> dict[tuple[str, str], list[float]]:
    """Return the seconds of every repeat, by flow and operation."""
    clock = CLOCKS[args.clock]
    times: dict[tuple[str, str], list[float]] = {}
    for name in args.only:
        for kind in KINDS:
            seconds(operations[kind][name], bench.device, clock)  # warm-up: first allocations
        for repeat in range(args.repeats):
            for kind in KINDS[:: 1 if repeat % 2 else -1]:
                duration = seconds(operations[kind][name], bench.device, clock)
                times.setdefault((kind, name), []).append(duration)
    return times


def measure_peaks(state: dict, names: Sequence[str]) -> dict[tuple[str, str], float]:
    """Return the peak memory in MiB, by flow and operation."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.pt"
        torch.save(state, path)
        return {
            (kind, name): peak_in_new_process(kind, name, path) for name in names for kind in KINDS
        }


def print_table(
    bench: Bench,
    args: argparse.Namespace,
    seconds: dict[tuple[str, str], list[float]],
    peaks: dict[tuple[str, str], float],
) -> None:
    """Print one row for each operation."""
    _, H, W = bench.grid.shape
    print(f"{args.size} size, {H} x {W}; {machine(args)}")
    print(
        f"{args.clock} seconds: median [quartiles] of {args.repeats}; "
        "peak: MiB on top of the idle process"
    )
    print(
        f"{'':14}{'stock nflows':>24}{'ours':>24}{'stock / ours':>22}{'peak stock':>12}{'ours':>8}"
    )
    for name, size in bench.describe().items():
        if name not in args.only:
            continue
        times = {kind: np.array(seconds[kind, name]) for kind in KINDS}
        ratios = times["stock"] / times["ours"]
        cells = [
            "{1:.3f} [{0:.3f}, {2:.3f}]".format(*np.quantile(times[kind], (0.25, 0.5, 0.75)))
            for kind in KINDS
        ]
        ratio = "{1:.2f} [{0:.2f}, {2:.2f}]".format(*np.quantile(ratios, (0.25, 0.5, 0.75)))
        memory = [f"{peaks[kind, name]:.0f}" if peaks else "" for kind in KINDS]
        print(
            f"{name:14}{cells[0]:>24}{cells[1]:>24}{ratio:>22}{memory[0]:>12}{memory[1]:>8}"
            f"   {size}"
        )


def print_difference(bench: Bench, operations: dict[str, Operations]) -> None:
    """Compare the two results of harmonisation, and print the number of fallbacks."""
    stock, ours = [operations[kind]["harmonise"]() for kind in KINDS]
    difference = (stock - ours).abs()
    print(
        f"harmonised slices differ by {float(difference.mean()):.1e} on average, "
        f"{float(difference.max()):.1e} at most"
    )
    chunks = -(-bench.grid.shape[0] // bench.config.slices_at_once)
    print(
        f"the round trip failed in {bench.ours.fallbacks} of {chunks} chunks of slices, "
        "which ours repeated in float64"
    )


def main() -> None:
    """Print the table."""
    args = arguments()
    torch.set_num_threads(args.threads)
    # nflows' LU layer calls this function, which torch still provides with a warning.
    warnings.filterwarnings("ignore", message="torch.triangular_solve is deprecated")
    bench = Bench(
        args.size,
        args.device,
        batch=args.batch,
        slices=args.slices,
        iterations=args.iterations,
        at_once=args.at_once,
    )
    if args.peak:
        kind, name, path = args.peak
        print(peak_mib(bench.operations(kind, torch.load(path))[name], bench.device))
        return
    state = bench.state()
    operations = {kind: bench.operations(kind, state) for kind in KINDS}
    times = time_operations(bench, operations, args)
    peaks = {} if args.no_memory else measure_peaks(state, args.only)
    print_table(bench, args, times, peaks)
    if "harmonise" in args.only:
        print_difference(bench, operations)


if __name__ == "__main__":
    main()
