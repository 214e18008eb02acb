"""The multiscale neural spline flow: f in the paper's equations."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from nflows import transforms
from torch import Tensor, nn

from harmbench import UserError

from ..config import FlowConfig
from .layers import ActNorm, LUConv1x1, SplineCoupling, Squeeze


def _level(shape: tuple[int, int, int], config: FlowConfig) -> Iterator[transforms.Transform]:
    """Yield the transforms of one level; `shape` (C, H, W) is that of its squeezed input."""
    channels, H, W = shape
    yield Squeeze()
    for _ in range(config.steps):
        yield ActNorm(channels)
        yield LUConv1x1(channels)
        yield SplineCoupling(
            channels,
            hidden=config.hidden,
            blocks=config.blocks,
            bins=config.bins,
            tail_bound=config.tail_bound,
            pixels=H * W if config.positions else 0,
        )
    yield LUConv1x1(channels)


class Flow(nn.Module):
    """A flow between slices and a standard normal (supplement, section 2.1).

    Of every level but the last, half the channels are final and split off.

    Parameters
    ----------
    height, width
        H and W of the slices; 2 to the power of `config.levels` must divide both.
    config
        Levels, steps and the size of the coupling networks.

    Raises
    ------
    UserError
        If the slices cannot be halved `levels` times.
    """

    def __init__(self, height: int, width: int, config: FlowConfig) -> None:
        super().__init__()
        if height % 2**config.levels or width % 2**config.levels:
            raise UserError(
                f"levels={config.levels} halves slices that often, which "
                f"{height} x {width} do not allow"
            )
        self.shape = (height, width)
        self.grey_levels = config.grey_levels
        self.transform = transforms.MultiscaleCompositeTransform(config.levels)
        C, H, W = 1, height, width
        for _ in range(config.levels):
            C, H, W = 4 * C, H // 2, W // 2
            level = transforms.CompositeTransform(list(_level((C, H, W), config)))
            self.transform.add_transform(level, (C, H, W))
            C //= 2

    @property
    def dimension(self) -> int:
        """D, the number of a slice's pixels."""
        return math.prod(self.shape)

    def dequantize(self, x: Tensor, noise: Tensor) -> Tensor:
        """Map intensities in [0, 1] and noise in [0, 1) to densities' domain [-0.5, 0.5).

        Nothing is rounded here, so that `quantize` undoes it exactly.
        """
        return (x * self.grey_levels + noise) / (self.grey_levels + 1) - 0.5

    def quantize(self, v: Tensor, noise: Tensor) -> Tensor:
        """Undo `dequantize` with the same noise."""
        return ((v + 0.5) * (self.grey_levels + 1) - noise) / self.grey_levels

    def encode(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """Map dequantised slices `(B, H, W)` to latents z `(B, D)` and log |det| `(B,)`."""
        z, logabsdet = self.transform(v[:, None])
        return z, logabsdet

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Map latents `(B, D)` to slices `(B, H, W)` and log |det| `(B,)` of the inverse."""
        v, logabsdet = self.transform.inverse(z)
        return v[:, 0], logabsdet

    def log_prob(self, v: Tensor) -> Tensor:
        """Return the log-density `(B,)`, in nats, of dequantised slices `(B, H, W)`."""
        z, logabsdet = self.encode(v)
        return logabsdet - 0.5 * (z.square().sum(dim=1) + self.dimension * math.log(2 * math.pi))

    def bits_per_dimension(self, x: Tensor, noise: Tensor) -> Tensor:
        """Return the bits that a pixel of each slice costs: `(B,)`.

        Parameters
        ----------
        x
            Intensities `(B, H, W)` in [0, 1]; rounded to grey levels, as 12-bit data is.
        noise
            Uniform in [0, 1), of the same shape: spreads each grey level over its bin.
        """
        levels = (x * self.grey_levels).round() / self.grey_levels
        nats = -self.log_prob(self.dequantize(levels, noise)) / self.dimension
        return nats / math.log(2) + math.log2(self.grey_levels + 1)

    @torch.no_grad()
    def sample(
        self, count: int, generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Draw slices `(count, H, W)` in [0, 1] (Figure 1).

        Parameters
        ----------
        count
            Number of slices.
        generator
            On the CPU; torch's own if None.
        temperature
            Scales the latents' standard deviation.
        """
        parameter = next(self.parameters())
        z = temperature * torch.randn(count, self.dimension, generator=generator)
        v, _ = self.decode(z.to(parameter))
        return self.quantize(v, torch.full_like(v, 0.5)).clamp(0, 1)
