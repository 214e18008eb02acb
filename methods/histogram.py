"""A strong baseline: histogram matching to the target population."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harmbench import FitData, FitProgress, Grid, Method, Needs, Scans


def quantiles(values: Tensor, count: int) -> Tensor:
    """Return `count` quantiles of n >= 1 values, from the smallest to the largest.

    Linear between order statistics, as `numpy.quantile` by default; `torch.quantile`
    refuses the 16 million voxels that a large scan may have.
    """
    ordered = values.sort().values
    place = torch.linspace(0, len(ordered) - 1, count, dtype=torch.float64, device=values.device)
    below = place.floor().long()
    above = (below + 1).clamp(max=len(ordered) - 1)
    return torch.lerp(ordered[below], ordered[above], (place - below).to(values.dtype))


def interpolate(x: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """Map `x` by the monotone, piecewise linear curve through `(source, target)`.

    Parameters
    ----------
    x
        `(n,)`; what lies outside the knots goes to the nearer end.
    source, target
        `(K,)`, each ascending. Where several knots of `source` are equal (voxels of one
        intensity cannot be told apart), `x` goes to the middle of their targets.

    Returns
    -------
    Tensor
        `(n,)`.
    """
    last = len(source) - 1
    left = torch.searchsorted(source, x).clamp(max=last)
    right = (torch.searchsorted(source, x, right=True) - 1).clamp(min=0)
    # Strictly between two knots, `right` is the lower and `left` the upper one; on a knot,
    # or on several that are equal, `left` is the first of them and `right` the last.
    gap = source[left] - source[right]
    inside = gap > 0
    weight = torch.where(inside, (x - source[right]) / torch.where(inside, gap, 1), 0.5)
    return torch.lerp(target[right], target[left], weight.clamp(0, 1))


@dataclass(frozen=True)
class HistogramConfig:
    """Settings.

    Attributes
    ----------
    quantiles
        Knots of the curve.
    """

    quantiles: int = 1001


class Histogram(Method):
    """Maps each scan's foreground quantiles onto the target population's.

    One monotone curve a scan, of the whole volume: slices alone have too few voxels of
    each tissue. The population's quantiles are the mean of its scans' quantile functions
    (standardisation of Nyul and Udupa, with many landmarks): pooling all voxels instead
    would give the wider histogram of a population, which no single person has.

    Attributes
    ----------
    knots
        `(K,)` float32: mean quantiles of the target's foregrounds.
    """

    name = "histogram"
    summary = "maps foreground quantiles onto the target population's, volume by volume"
    needs = Needs.TARGET
    reference = "https://doi.org/10.1109/42.836373"
    Config = HistogramConfig

    config: HistogramConfig
    knots: Tensor

    def __init__(self, grid: Grid, config: HistogramConfig | None = None) -> None:
        super().__init__(grid, config)
        self.register_buffer("knots", torch.zeros(self.config.quantiles))

    def fit(self, data: FitData, progress: FitProgress) -> None:
        """Average the quantile functions of the target's training scans, one at a time."""
        total = torch.zeros(self.config.quantiles, dtype=torch.float64)
        count = 0
        for scans in progress.track(data.target.batches(), "quantiles", len(data.target)):
            values = scans.images[scans.masks]
            if len(values):
                total += quantiles(values, self.config.quantiles)
                count += 1
        self.knots.copy_(total / max(count, 1))

    def forward(self, scans: Scans) -> Scans:
        """Match N scans, each by itself; what is not foreground stays as it is."""
        images = scans.images.clone()
        for image, mask in zip(images, scans.masks, strict=True):
            values = image[mask]
            if len(values):
                own = quantiles(values, self.config.quantiles)
                image[mask] = interpolate(values, own, self.knots).clamp(0, 1)
        return scans.with_images(images)
