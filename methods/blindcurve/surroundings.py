"""The surroundings of voxels, from which networks estimate how much too bright a voxel is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from harmbench import Grid

# Surroundings are computed on slices at about this distance, and on pixels of this size, in mm.
_BETWEEN = 2.4
_PIXEL = 4.8
_WINDOWS = (3, 5, 9)  # voxels along each side; each is the mean over the previous one
_MIN_VARIANCE = 1e-6
N_SURROUNDINGS = 2 + 7 * len(_WINDOWS) + 3


def log_local_variance(h: Tensor, mask: Tensor) -> Tensor:
    """Return the logarithm of the variance in 3 x 3 windows of slices, over their foreground."""
    weight = mask.to(h.dtype)
    share, first, second = _means_of_nine(torch.stack((weight, h * weight, h * h * weight)))
    mean, mean_square = (x / share.clamp_min(0.1) for x in (first, second))
    variance: Tensor = mean_square - mean.square()
    return variance.clamp_min(_MIN_VARIANCE).log()


def slice_step(grid: Grid) -> int:
    """Return the step, in slices, between slices on which surroundings are computed."""
    return max(1, round(_BETWEEN / grid.spacing[0]))


@dataclass(frozen=True, eq=False)
class Surroundings:
    """Features of coarse pixels that are foreground throughout.

    Attributes
    ----------
    features
        `(n, N_SURROUNDINGS)`.
    positions
        `(n, 3)` in [0, 1]: position in the scan along slice, row and column.
    slices
        `(n,)` int64: index of each one's slice.
    """

    features: Tensor
    positions: Tensor
    slices: Tensor

    @classmethod
    def of(cls, h: Tensor, mask: Tensor, edges: Tensor, grid: Grid, count: int) -> Surroundings:
        """Compute the features on every `slice_step`-th slice of a scan.

        Parameters
        ----------
        h, mask
            `(s, H, W)`: those slices, matched to the population's quantiles.
        edges
            `(5,)`: ascending limits of the intensity bins.
        grid
            Gives the voxel size.
        count
            Number of slices of the scan.
        """
        factors = [1] + [
            min(max(1, round(_PIXEL / spacing)), side)
            for spacing, side in zip(grid.spacing[1:], h.shape[1:], strict=True)
        ]
        weight = mask.to(h.dtype)
        parts = [(h <= edge).to(h.dtype) * weight for edge in edges]
        channels = torch.stack((weight, h * weight, log_local_variance(h, mask) * weight, *parts))
        coarse = F.avg_pool2d(channels, factors[1:])
        inside = coarse[0] > 0.99
        chosen = inside.flatten().nonzero()[:, 0]
        features_of_voxels = list(coarse[1:3].flatten(1)[:, chosen])
        around = coarse
        for size in _WINDOWS:
            around = window_means(around, size)
            share, *means = around.flatten(1)[:, chosen]
            features_of_voxels += [mean / share.clamp_min(1e-3) for mean in means]
        index = inside.nonzero()
        slices = index[:, 0] * slice_step(grid)
        shape = torch.tensor((count, *h.shape[1:]), device=h.device)
        first = torch.stack((slices, index[:, 1] * factors[1], index[:, 2] * factors[2]), dim=1)
        positions = (first + torch.tensor(factors, device=h.device) / 2) / shape
        across = 2 * positions - 1
        features_of_voxels += [across[:, 0], across[:, 1].abs(), across[:, 2]]
        return cls(torch.stack(features_of_voxels, dim=1), positions, slices)


def _means_of_nine(x: Tensor) -> Tensor:
    """Return means over 3 x 3 windows of `(..., H, W)`, padded with zeros.

    Sums of shifted copies take a sixth of the time of torch's own pooling.
    """
    x = F.pad(x, (1, 1, 1, 1))
    x = x[..., :-2] + x[..., 1:-1] + x[..., 2:]
    return (x[..., :-2, :] + x[..., 1:-1, :] + x[..., 2:, :]) / 9


def window_means(x: Tensor, size: int) -> Tensor:
    """Return means over cubes of `size` voxels around each voxel, padded with zeros.

    Parameters
    ----------
    x
        `(C, S, H, W)`.
    size
        Odd; along a shorter side, its greatest odd length.
    """
    # A product with a band for each side takes a fifth of the time of torch's own pooling.
    slices, rows, columns = (_band(side, size, x) for side in x.shape[1:])
    within = rows @ x @ columns
    return (slices @ within.flatten(2)).view_as(x)


def _band(side: int, size: int, like: Tensor) -> Tensor:
    """Return the symmetric matrix `(side, side)` that takes means over windows."""
    size = min(size, side - (side + 1) % 2)
    index_along_side = torch.arange(side, device=like.device)
    near = (index_along_side[:, None] - index_along_side).abs() <= size // 2
    return near.to(like.dtype) / size
