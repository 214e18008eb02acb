"""N4 on the grid: the bias field of one scan, for `n4-whitestripe` and `blindcurve`."""

from __future__ import annotations

import torch
from torch import Tensor

from harmbench import Grid, estimate_bias_field


def bias_field_of(image: Tensor, mask: Tensor, grid: Grid, resolution: float) -> Tensor:
    """Estimate the bias field of a scan by N4, on the CPU.

    Parameters
    ----------
    image, mask
        `(S, H, W)`: the scan, and its foreground.
    grid
        The scan's grid.
    resolution
        Voxel size in mm at which N4 works, in whole multiples of the grid's spacing.

    Returns
    -------
    Tensor
        `(S, H, W)` float32 on the CPU, above zero. Divide the scan by it.

    Raises
    ------
    BadScanError
        If N4 fails, for example on an empty mask.
    """
    shrink = [max(1, round(resolution / step)) for step in grid.spacing]
    field = estimate_bias_field(image.cpu().numpy(), mask.cpu().numpy(), grid.spacing, shrink)
    return torch.from_numpy(field)
