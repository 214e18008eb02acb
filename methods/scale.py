"""The simplest baseline: one factor a slice."""

from __future__ import annotations

import torch
from torch import Tensor

from harmbench import FitData, FitProgress, Grid, Needs, Scans, StackMethod


def norms(images: Tensor) -> Tensor:
    """Return the L2 norm of every slice: `(..., H, W)` to `(...)`."""
    return images.square().sum(dim=(-2, -1)).sqrt()


class Scale(StackMethod):
    """Scales each slice to the mean L2 norm of the target's slices at its index.

    BlindHarmony starts from the target's mean slice, whose norm sets the scale of its
    output. The gain of this baseline over `identity` is due to scale only, not to contrast.

    Attributes
    ----------
    norms
        `(S,)` float32: mean norm of the target's slices at each index.
    """

    name = "scale"
    summary = "scales each slice to the target population's mean norm"
    needs = Needs.TARGET

    norms: Tensor

    def __init__(self, grid: Grid, config: object = None) -> None:
        super().__init__(grid, config)
        self.register_buffer("norms", torch.zeros(grid.shape[0]))

    def fit(self, data: FitData, progress: FitProgress) -> None:
        """Average the norms over the target's training scans, one scan at a time."""
        total = torch.zeros(self.grid.shape[0], dtype=torch.float64)
        for scans in progress.track(data.target.batches(), "norms", len(data.target)):
            total += norms(scans.images.double()).sum(dim=0)
        self.norms.copy_(total / len(data.target))

    def forward_stack(self, scans: Scans, stack: Scans) -> Scans:
        """Scale N stacks; an empty slice stays empty, and values above 1 are clipped.

        Slices beyond the grid take the factor of the grid's nearest slice: the target's norms
        there are not known.
        """
        own_norms = norms(scans.images)
        factor = torch.where(own_norms > 0, self.norms / own_norms, 0)
        factor = factor[:, self.nearest_slices(stack), None, None]
        return stack.with_images((stack.images * factor).clamp(0, 1))
