"""Maximum likelihood training of the flow on slices of the target domain."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from harmbench import (
    FitData,
    FitProgress,
    Phase,
    ScanSet,
    SliceBatches,
    derive,
    torch_generator,
    train,
)

from ..config import FlowConfig
from .flow import Flow


def mean_slices(scans: ScanSet, count: int, generator: torch.Generator) -> Tensor:
    """Return the mean `(S, H, W)` over `count` scans drawn without replacement, or over all."""
    indices = torch.randperm(len(scans), generator=generator)[:count].tolist()
    total = torch.zeros(scans.grid.shape, dtype=torch.float64)
    for start in range(0, len(indices), 8):
        total += scans.load(indices[start : start + 8]).images.sum(dim=0, dtype=torch.float64)
    return (total / len(indices)).float()


class FlowValidation:
    """Bits per dimension of a flow on the same slices and noise every time."""

    def __init__(self, flow: Flow, scans: ScanSet, config: FlowConfig, seed: int) -> None:
        generator = torch_generator(seed, "blindharmony", "validation")
        chosen = torch.randperm(scans.n_slices, generator=generator)[: config.validation_slices]
        self.flow = flow
        self.slices = scans.slices(chosen.sort().values)
        self.noise = torch.rand(self.slices.shape, generator=generator)
        self.at_once = config.slices_at_once

    @torch.no_grad()
    def __call__(self) -> float:
        """Measure the flow as it is now."""
        device = next(self.flow.parameters()).device
        total = 0.0
        for start in range(0, len(self.slices), self.at_once):
            part = slice(start, start + self.at_once)
            x, u = self.slices[part].to(device), self.noise[part].to(device)
            total += float(self.flow.bits_per_dimension(x, u).sum())
        return total / len(self.slices)


def train_flow(
    flow: Flow,
    data: FitData,
    config: FlowConfig,
    progress: FitProgress,
    device: torch.device,
) -> None:
    """Fit `flow` to the target's slices, and leave it in the state that validated best.

    Without validation scans, or if none ever gave a finite number, the last state stays.

    Raises
    ------
    DivergedError
        If the likelihood or its gradient is not finite.
    """
    noise = torch.Generator(device).manual_seed(derive(data.seed, "blindharmony", "training noise"))

    def bits(x: Tensor) -> Tensor:
        if config.flips:
            mirrored = torch.rand(len(x), 1, 1, generator=noise, device=device) < 0.5
            x = torch.where(mirrored, x.flip(1), x)  # left to right is along H
        u = torch.rand(x.shape, generator=noise, device=device)
        return flow.bits_per_dimension(x, u).mean()

    optimizer = torch.optim.Adam(flow.parameters(), lr=config.learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.training_steps)
    batches = SliceBatches(
        data.target,
        size=config.batch_size,
        device=device,
        generator=torch_generator(data.seed, "blindharmony", "batches"),
    )
    validation = None
    if len(data.validation):
        validation = FlowValidation(flow, data.validation, config, data.seed)
    train(
        flow,
        batches,
        Phase(
            loss=bits,
            optimizer=optimizer,
            schedule=schedule,
            max_norm=config.max_gradient_norm or math.inf,
            cuda_graph=True,
        ),
        progress,
        name="blindharmony",
        steps=config.training_steps,
        keep=[noise],
        validate=validation,
        validate_every=config.validate_every,
        micro_batches=config.micro_batches,
        mixed_precision=config.mixed_precision,
        measure="bits/dim",
    )
