"""Recognise scans that no curve and no bias field can map to the target's contrast."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

CELLS = (6, 8, 8)
_SHARE = 0.25  # of a cell that must be foreground
# Correlation of layouts. T1-weighted scans of three real and five simulated scanners had 0.55 and
# more with another one's mean. Inverted scans and scans with a bright rim were negative.
DOUBTFUL, OTHER = 0.5, 0.25


def layout(matched: Tensor, mask: Tensor) -> Tensor:
    """Return the mean intensity in cells of a scan `(S, H, W)`, -1 outside: `(cells,)`."""
    weight = mask.to(matched.dtype)
    total, share = F.adaptive_avg_pool3d(torch.stack((matched * weight, weight))[None], CELLS)[0]
    return torch.where(share > _SHARE, total / share.clamp_min(1e-3), -1).flatten()


def likeness(a: Tensor, b: Tensor) -> float:
    """Return Pearson's correlation of two layouts over their common cells; 0 with fewer than 8."""
    both = (a >= 0) & (b >= 0)
    if int(both.sum()) < 8:
        return 0.0
    return float(torch.corrcoef(torch.stack((a[both], b[both])))[0, 1].nan_to_num())


def mean_layout(layouts: Tensor) -> Tensor:
    """Return the mean of layouts `(n, cells)` over the scans that have tissue in a cell."""
    inside = layouts >= 0
    mean = (layouts * inside).sum(dim=0) / inside.sum(dim=0).clamp_min(1)
    return torch.where(inside.any(dim=0), mean, -1)
