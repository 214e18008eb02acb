"""Random changes of intensity that the harmoniser learns to undo: drawn first, then applied."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# As in the authors' released code, described in our own words; intensities there are 0..255.
_OFFSET = 30 / 255
_FACTORS = (0.5, 2.0)
_EXPONENTS = (0.5, 1.5)
_PART = 0.75  # of the slices get each of those three
# Two slices in five get a random curve alone, as many the three alone, and the rest both.
_ONE_KIND = 0.4
_HALVINGS = 8  # of the interval [0, 1], by which a random curve is made
_LEAST_SHARE = 0.2  # of a rise that either half of an interval has


@dataclass(frozen=True, eq=False)
class Augmentation:
    """What is done to each of B slices.

    Attributes
    ----------
    offset, factor, exponent
        `(B,)`: brightness, contrast and gamma.
    curve
        `(B, 257)`: heights, at even distances, of a curve from (0, 0) to (1, 1).
    """

    offset: Tensor
    factor: Tensor
    exponent: Tensor
    curve: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Change slices `(B, H, W)` in [0, 1].

        Background, which is 0, stays, and every slice keeps the maximum that it had: prepared
        scans are scaled after whatever their scanner did.
        """
        offset, factor, exponent = (
            each[:, None, None] for each in (self.offset, self.factor, self.exponent)
        )
        highest = x.amax(dim=(-2, -1), keepdim=True)
        changed = (x * factor + offset).clamp_min(0) * (x > 0)
        changed = _scaled(changed, torch.ones_like(highest)) ** exponent
        last = self.curve.shape[1] - 1
        place = (changed * last).flatten(1)
        below = place.floor().long().clamp(0, last - 1)
        low, high = self.curve.gather(1, below), self.curve.gather(1, below + 1)
        return _scaled(torch.lerp(low, high, place - below).view_as(x), highest)


def _scaled(x: Tensor, highest: Tensor) -> Tensor:
    """Give slices the maxima `(B, 1, 1)`; one without any signal stays 0."""
    return x * (highest / x.amax(dim=(-2, -1), keepdim=True).clamp_min(1e-6))


def random_curves(count: int, generator: torch.Generator) -> Tensor:
    """Draw curves `(count, 257)` by halving intervals, which halves rise by unequal shares."""
    heights = torch.tensor([0.0, 1.0]).repeat(count, 1)
    for _ in range(_HALVINGS):
        low, high = heights[:, :-1], heights[:, 1:]
        share = _evenly(_LEAST_SHARE, 1 - _LEAST_SHARE, low.shape, generator)
        middle = torch.lerp(low, high, share)
        heights = torch.cat((torch.stack((low, middle), dim=2).flatten(1), heights[:, -1:]), dim=1)
    return heights


def draw(count: int, generator: torch.Generator) -> Augmentation:
    """Draw what is done to `count` slices, from a generator on the CPU."""
    kind = torch.rand(count, generator=generator)
    curved, changed = kind < 1 - _ONE_KIND, kind >= _ONE_KIND

    def sometimes(low: float, high: float, nothing: float) -> Tensor:
        drawn = _evenly(low, high, (count,), generator)
        happens = changed & (torch.rand(count, generator=generator) < _PART)
        return torch.where(happens, drawn, nothing)

    straight = torch.linspace(0, 1, 2**_HALVINGS + 1)
    return Augmentation(
        offset=sometimes(-_OFFSET, _OFFSET, 0.0),
        factor=sometimes(*_FACTORS, 1.0),
        exponent=sometimes(*_EXPONENTS, 1.0),
        curve=torch.where(curved[:, None], random_curves(count, generator), straight),
    )


def to(augmentation: Augmentation, device: torch.device) -> Augmentation:
    """Return the augmentation on `device`."""
    return Augmentation(*(each.to(device) for each in vars(augmentation).values()))


def _evenly(low: float, high: float, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator)
