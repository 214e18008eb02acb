"""A strong baseline: histogram matching to the target population."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harmbench import FitData, FitProgress, Grid, Needs, Scans, ScanSet, StackMethod

from ._quantiles import evenly_spaced_quantiles
from ._settings import check_minima


def interpolate(x: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """Map `x` by the monotone, piecewise linear curve through `(source, target)`.

    Parameters
    ----------
    x
        `(n,)`; values outside the knots are mapped to the nearer end.
    source, target
        `(K,)`, each ascending. Where several knots of `source` are equal (voxels of one
        intensity cannot be distinguished), `x` goes to the middle of their targets.

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


def population_quantiles(scans: ScanSet, count: int, progress: FitProgress) -> Tensor:
    """Return the mean of the scans' foreground quantile functions: `(count,)` float32."""
    total = torch.zeros(count, dtype=torch.float64)
    count_of_scans = 0
    for scan in progress.track(scans.batches(), "quantiles", len(scans)):
        values = scan.images[scan.masks]
        if len(values):
            total += evenly_spaced_quantiles(values, count)
            count_of_scans += 1
    return (total / max(count_of_scans, 1)).float()


def match_stack(image: Tensor, mask: Tensor, values: Tensor, knots: Tensor) -> Tensor:
    """Map slices by the curve that maps the quantiles of `values` onto `knots`.

    Parameters
    ----------
    image, mask
        `(S, H, W)`: any slices of a scan; the background stays.
    values
        `(n,)`: the scan's foreground on the grid; without any, the slices stay.
    knots
        `(K,)`, as of `population_quantiles`.
    """
    if not len(values):
        return image.clone()
    own_quantiles = evenly_spaced_quantiles(values, len(knots))
    matched = interpolate(image[mask], own_quantiles, knots).clamp(0, 1)
    return image.masked_scatter(mask, matched)


@dataclass(frozen=True)
class HistogramConfig:
    """Settings.

    Attributes
    ----------
    quantiles
        Knots of the curve.

    Raises
    ------
    UserError
        With fewer than two knots.
    """

    quantiles: int = 1001

    def __post_init__(self) -> None:
        check_minima(self, quantiles=2)


class Histogram(StackMethod):
    """Maps each scan's foreground quantiles onto the target population's.

    One monotone curve per scan, for the whole volume: single slices have too few voxels of
    each tissue. The population's quantiles are the mean of its scans' quantile functions
    (standardisation of Nyul and Udupa, with many landmarks): pooling all voxels instead
    would give the wider histogram of a population, which no single subject has.

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
        self.knots.copy_(population_quantiles(data.target, self.config.quantiles, progress))

    def forward_stack(self, scans: Scans, stack: Scans) -> Scans:
        """Match N stacks independently, by the quantiles on the grid; the background stays."""
        matched = [
            match_stack(stack.images[n], stack.masks[n], image[mask], self.knots)
            for n, (image, mask) in enumerate(zip(scans.images, scans.masks, strict=True))
        ]
        return stack.with_images(torch.stack(matched) if matched else stack.images.clone())
