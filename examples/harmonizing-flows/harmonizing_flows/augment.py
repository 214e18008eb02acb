"""Random changes of intensity that the harmoniser learns to undo: drawn first, then applied."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# As in the authors' released code, whose intensities range from 0 to 255.
_OFFSET = 30 / 255
_FACTORS = (0.5, 2.0)
_EXPONENTS = (0.5, 1.5)
_PROBABILITY = 0.75  # of each of these three changes
# Share of the slices that get only a random curve, and of those that get only the three changes;
# the rest get both.
_SINGLE_SHARE = 0.4
_HALVINGS = 8  # of the interval [0, 1], to draw a random curve
_LEAST_SHARE = 0.2  # minimum share of the rise in each half of an interval


@dataclass(frozen=True, eq=False)
class Augmentation:
    """Changes of intensity for B slices.

    Attributes
    ----------
    offset, factor, exponent
        `(B,)`: brightness, contrast and gamma.
    curve
        `(B, 257)`: values of a curve from (0, 0) to (1, 1) at equal distances.
    """

    offset: Tensor
    factor: Tensor
    exponent: Tensor
    curve: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Change slices `(B, H, W)` in [0, 1].

        The background (0) does not change. Each slice is rescaled to its previous maximum,
        as in preprocessing, which scales every slice.
        """
        offset, factor, exponent = (
            value[:, None, None] for value in (self.offset, self.factor, self.exponent)
        )
        highest = x.amax(dim=(-2, -1), keepdim=True)
        changed = (x * factor + offset).clamp_min(0) * (x > 0)
        changed = _scaled(changed, torch.ones_like(highest)) ** exponent
        last = self.curve.shape[1] - 1
        position = (changed * last).flatten(1)
        below = position.floor().long().clamp(0, last - 1)
        low, high = self.curve.gather(1, below), self.curve.gather(1, below + 1)
        return _scaled(torch.lerp(low, high, position - below).view_as(x), highest)


def _scaled(x: Tensor, highest: Tensor) -> Tensor:
    """Scale slices to the maxima `(B, 1, 1)`; slices of zeros do not change."""
    return x * (highest / x.amax(dim=(-2, -1), keepdim=True).clamp_min(1e-6))


def random_curves(count: int, generator: torch.Generator) -> Tensor:
    """Draw curves `(count, 257)` by halving intervals, with a random share of the rise."""
    heights = torch.tensor([0.0, 1.0]).repeat(count, 1)
    for _ in range(_HALVINGS):
        low, high = heights[:, :-1], heights[:, 1:]
        share = _uniform(_LEAST_SHARE, 1 - _LEAST_SHARE, low.shape, generator)
        middle = torch.lerp(low, high, share)
        heights = torch.cat((torch.stack((low, middle), dim=2).flatten(1), heights[:, -1:]), dim=1)
    return heights


def draw(count: int, generator: torch.Generator) -> Augmentation:
    """Draw the changes for `count` slices, with a generator on the CPU."""
    number = torch.rand(count, generator=generator)
    curved, changed = number < 1 - _SINGLE_SHARE, number >= _SINGLE_SHARE

    def values(low: float, high: float, neutral: float) -> Tensor:
        random = _uniform(low, high, (count,), generator)
        selected = changed & (torch.rand(count, generator=generator) < _PROBABILITY)
        return torch.where(selected, random, neutral)

    identity = torch.linspace(0, 1, 2**_HALVINGS + 1)
    return Augmentation(
        offset=values(-_OFFSET, _OFFSET, 0.0),
        factor=values(*_FACTORS, 1.0),
        exponent=values(*_EXPONENTS, 1.0),
        curve=torch.where(curved[:, None], random_curves(count, generator), identity),
    )


def to(augmentation: Augmentation, device: torch.device) -> Augmentation:
    """Return the augmentation on `device`."""
    return Augmentation(*(value.to(device) for value in vars(augmentation).values()))


def _uniform(low: float, high: float, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator)
