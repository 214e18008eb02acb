"""Maximum likelihood training of the flow on slices of the target domain."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from harmbench import DivergedError, FitData, Progress, ScanSet, seeds

from .config import BlindHarmonyConfig
from .flow import Flow

# Slices that together are smaller than this lie on the device throughout.
RESIDENT_BYTES = 1 << 30


def slice_reader(scans: ScanSet, device: torch.device) -> Callable[[Tensor], Tensor]:
    """Return a function that reads slices by flat index, `(B,)` to `(B, H, W)` on `device`."""
    _, H, W = scans.grid.shape
    if scans.n_slices * H * W * 4 > RESIDENT_BYTES:
        return lambda indices: scans.slices(indices).to(device)
    resident = scans.slices(torch.arange(scans.n_slices)).to(device)
    return lambda indices: resident[indices.to(device)]


def mean_slices(scans: ScanSet, count: int, generator: torch.Generator) -> Tensor:
    """Return the mean `(S, H, W)` over `count` scans drawn without replacement, or over all."""
    places = torch.randperm(len(scans), generator=generator)[:count].tolist()
    total = torch.zeros(scans.grid.shape, dtype=torch.float64)
    for start in range(0, len(places), 8):
        total += scans.load(places[start : start + 8]).images.sum(dim=0, dtype=torch.float64)
    return (total / len(places)).float()


class Validation:
    """Bits per dimension on the same slices and noise every time, and the best so far."""

    def __init__(self, scans: ScanSet, config: BlindHarmonyConfig, seed: int) -> None:
        generator = seeds.torch_generator(seed, "blindharmony", "validation")
        chosen = torch.randperm(scans.n_slices, generator=generator)[: config.validation_slices]
        self.slices = scans.slices(chosen.sort().values)
        self.noise = torch.rand(self.slices.shape, generator=generator)
        self.at_once = config.slices_at_once
        self.best = math.inf
        self.state: dict[str, Tensor] = {}

    @torch.no_grad()
    def look(self, flow: Flow, device: torch.device) -> float:
        """Measure `flow`, keep a copy of its state if it is the best, and return its bits."""
        flow.eval()
        total = 0.0
        for start in range(0, len(self.slices), self.at_once):
            part = slice(start, start + self.at_once)
            x, u = self.slices[part].to(device), self.noise[part].to(device)
            total += float(flow.bits_per_dimension(x, u).sum())
        flow.train()
        mean = total / len(self.slices)
        if mean < self.best:
            self.best = mean
            self.state = {name: value.clone() for name, value in flow.state_dict().items()}
        return mean


def train(
    flow: Flow,
    data: FitData,
    config: BlindHarmonyConfig,
    progress: Progress,
    device: torch.device,
) -> None:
    """Fit `flow` to the target's slices, and leave it in the state that validated best.

    Without validation scans, or if none ever gave a finite number, the last state stays.

    Raises
    ------
    DivergedError
        If the likelihood or its gradient is not finite.
    """
    read = slice_reader(data.target, device)
    validation = Validation(data.validation, config, data.seed) if len(data.validation) else None
    batches = seeds.torch_generator(data.seed, "blindharmony", "batches")
    noise = torch.Generator(device).manual_seed(
        seeds.derive(data.seed, "blindharmony", "training noise")
    )
    optimizer = torch.optim.Adam(flow.parameters(), lr=config.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.training_steps)
    limit = config.max_gradient_norm or math.inf

    flow.train()
    for step in progress.track(range(config.training_steps), "blindharmony: flow"):
        batch = torch.randint(data.target.n_slices, (config.batch_size,), generator=batches)
        optimizer.zero_grad()
        bits = 0.0
        for part in batch.chunk(config.micro_batches):
            x = read(part)
            u = torch.rand(x.shape, generator=noise, device=device)
            loss = flow.bits_per_dimension(x, u).mean() / config.micro_batches
            loss.backward()  # type: ignore[no-untyped-call]
            bits += loss.item()
        norm = torch.nn.utils.clip_grad_norm_(flow.parameters(), limit)
        if not (math.isfinite(bits) and math.isfinite(float(norm))):
            raise DivergedError(
                f"blindharmony: the flow ran away at training step {step + 1} "
                f"({bits:.2f} bits/dim, gradient norm {float(norm):.2g})"
            )
        optimizer.step()
        schedule.step()
        progress.note(f"{bits:.2f} bits/dim")
        last = step + 1 == config.training_steps
        if validation and (last or (step + 1) % config.validate_every == 0):
            validation.look(flow, device)
    if validation and validation.state:
        flow.load_state_dict(validation.state)
        progress.log(f"blindharmony: {validation.best:.2f} bits/dim on validation slices")
    flow.eval()
