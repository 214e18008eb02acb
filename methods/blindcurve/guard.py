"""Detect scans whose difference from the target exceeds a curve and a bias field."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_CELLS = (6, 8, 8)
_SHARE = 0.25  # of a cell that must be foreground
# T1-weighted scans of three real and five simulated scanners had 0.55 and more with another
# one's mean; inverted ones, T2-weighted ones and those with a bright rim had 0.46 and less.
_MIN_LIKENESS = 0.5
# The limit lies this much further out than the disturbed target scans that it is learned on.
_TEXTURE_MARGIN = 1.5


def layout(h: Tensor, mask: Tensor) -> Tensor:
    """Return the mean intensity in cells of a matched scan `(S, H, W)`, NaN outside: `(cells,)`."""
    weight = mask.to(h.dtype)
    total, share = F.adaptive_avg_pool3d(torch.stack((h * weight, weight))[None], _CELLS)[0]
    return torch.where(share > _SHARE, total / share.clamp_min(1e-3), torch.nan).flatten()


def likeness(a: Tensor, b: Tensor) -> float:
    """Return Pearson's correlation of two layouts over their common cells; 0 with fewer than 8."""
    both = ~(a.isnan() | b.isnan())
    if int(both.sum()) < 8:
        return 0.0
    u, v = a[both] - a[both].mean(), b[both] - b[both].mean()
    return float((u * v).sum() / (u.norm() * v.norm()).clamp_min(1e-9))


def remoteness(standard: Tensor) -> float:
    """Return the root mean square of standardised textures `(D,)`."""
    return float(standard.square().mean().sqrt())


class Guard(nn.Module):
    """Limits for layout and texture, learned from disturbed scans of the target.

    Attributes
    ----------
    template
        `(cells,)`: mean layout of the target's scans; 0 where none has tissue.
    defined
        `(cells,)` bool.
    greatest_remoteness
        Limit of the textures.
    """

    template: Tensor
    defined: Tensor
    greatest_remoteness: Tensor

    def __init__(self) -> None:
        super().__init__()
        cells = _CELLS[0] * _CELLS[1] * _CELLS[2]
        self.register_buffer("template", torch.zeros(cells))
        self.register_buffer("defined", torch.zeros(cells, dtype=torch.bool))
        self.register_buffer("greatest_remoteness", torch.tensor(1e6))

    def learn(self, layouts: Tensor, standard: Tensor) -> None:
        """Learn the mean layout and the limit of the textures.

        Parameters
        ----------
        layouts
            `(n, cells)`: of the target's scans as they are.
        standard
            `(m, D)`: standardised textures of disturbed ones.
        """
        scans_per_cell = (~layouts.isnan()).sum(dim=0)
        mean = layouts.nan_to_num().sum(dim=0) / scans_per_cell.clamp_min(1)
        self.defined.copy_(scans_per_cell > 0)
        self.template.copy_(mean)
        furthest = max(remoteness(row) for row in standard)
        self.greatest_remoteness.fill_(_TEXTURE_MARGIN * furthest)

    def likeness(self, cells: Tensor) -> float:
        """Return the correlation of a layout `(cells,)` with the target's mean, in [-1, 1]."""
        return likeness(cells, torch.where(self.defined, self.template, torch.nan))

    def layout_warning(self, cells: Tensor) -> str:
        """Return the reason to leave a scan of this layout `(cells,)` unchanged, or ""."""
        correlation = self.likeness(cells)
        if correlation >= _MIN_LIKENESS:
            return ""
        return (
            f"intensity layout differs from the target (correlation {correlation:.2f}, "
            f"limit {_MIN_LIKENESS}): another contrast, or not only brain; scan left unchanged"
        )

    def texture_warning(self, standard: Tensor) -> str:
        """Return the reason not to predict a curve from these textures `(D,)`, or ""."""
        distance, limit = remoteness(standard), float(self.greatest_remoteness)
        if distance <= limit:
            return ""
        return (
            f"texture differs from the target ({distance:.1f} deviations, limit {limit:.1f}): "
            "only matched to the population's quantiles"
        )
