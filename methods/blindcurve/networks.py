"""Small networks that estimate, voxel by voxel, how much too bright a scan is."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import OneCycleLR

from harmbench import FitProgress, Phase, torch_generator, train

from .config import BlindCurveConfig


class Networks(nn.Module):
    """Several perceptrons of two hidden layers side by side, with separate weights.

    Attributes
    ----------
    mean, deviation
        `(D,)`: what features are standardised by.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, count: int, features: int, hidden: int) -> None:
        super().__init__()
        widths = (features, hidden, hidden, 1)
        pairs = list(itertools.pairwise(widths))
        self.weights = nn.ParameterList(
            nn.Parameter(torch.randn(count, i, o) * (1.5 / i) ** 0.5 * (1 if o > 1 else 0.1))
            for i, o in pairs
        )
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(count, 1, o)) for _, o in pairs)
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("deviation", torch.ones(features))

    def forward(self, features: Tensor) -> Tensor:
        """Map features `(n, D)` to the networks' estimates `(count, n)`."""
        x = ((features - self.mean) / self.deviation).clamp(-8, 8)
        x = x.expand(len(self.weights[0]), -1, -1)
        last = len(self.weights) - 1
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias, x, weight)
            if layer < last:
                x = F.silu(x)
        return x[..., 0]


class Voxels:
    """Batches of voxels drawn at random from a pool; see `harmbench.Batches`.

    Parameters
    ----------
    pool
        Tensors of equal length along their first axis.
    size
        Voxels of a batch.
    generator
        Draws the voxels, on the CPU.
    """

    def __init__(self, *pool: Tensor, size: int, generator: torch.Generator) -> None:
        self._pool, self._size, self._generator = pool, size, generator

    def draw(self) -> tuple[Tensor, ...]:
        """Return the next batch."""
        chosen = torch.randint(len(self._pool[0]), (self._size,), generator=self._generator)
        return tuple(part[chosen.to(part.device)] for part in self._pool)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the generator."""
        return {"generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Set the state of the generator."""
        self._generator.set_state(state["generator"])


def train_networks(
    networks: Networks,
    features: Tensor,
    fields: Tensor,
    owners: Tensor,
    config: BlindCurveConfig,
    seed: int,
    progress: FitProgress,
) -> None:
    """Train freshly initialised networks by their squared error.

    Parameters
    ----------
    networks
        One for each fold.
    features, fields
        `(n, D)` and `(n,)`: of n voxels.
    owners
        `(n,)`: the network that is not trained on a voxel, unless all voxels belong to it.
    config
        Settings of the method.
    seed
        Of the batches.
    progress
        Receives the training's progress.
    """
    networks.mean.copy_(features.mean(dim=0))
    networks.deviation.copy_(features.std(dim=0).clamp_min(1e-4))
    rate, steps = config.network_rate, config.network_steps
    optimizer = torch.optim.AdamW(networks.parameters(), rate, weight_decay=config.weight_decay)
    schedule = OneCycleLR(optimizer, rate, total_steps=steps + 1, pct_start=0.1)
    folds = torch.arange(config.folds, device=features.device)[:, None]
    single = bool((owners == owners[0]).all())

    def squared_error(x: Tensor, y: Tensor, owner: Tensor) -> Tensor:
        weight = ((owner != folds) | single).to(x.dtype)
        error = (networks(x) - y).square()
        loss: Tensor = (weight * error).sum() / weight.sum().clamp_min(1)
        return loss

    generator = torch_generator(seed, "blindcurve", "voxels")
    voxels = Voxels(features, fields, owners, size=config.network_batch, generator=generator)
    phase = Phase(loss=squared_error, optimizer=optimizer, schedule=schedule)
    measure = "squared error of the field"
    train(networks, voxels, phase, progress, name="blindcurve", steps=steps, measure=measure)
