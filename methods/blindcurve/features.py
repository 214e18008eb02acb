"""Features of `blindcurve`: the texture at each intensity, and the surroundings of voxels."""

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


@dataclass(frozen=True, eq=False)
class LocalMoments:
    """Means and variances in 3 x 3 windows of slices, over the foreground in them.

    Attributes
    ----------
    share, mean, variance
        `(S, H, W)`; the share of the window that is foreground.
    """

    share: Tensor
    mean: Tensor
    variance: Tensor

    @classmethod
    def of(cls, h: Tensor, mask: Tensor) -> LocalMoments:
        """Compute them of a scan `(S, H, W)`."""
        weight = mask.to(h.dtype)
        sums = torch.stack((weight, h * weight, h * h * weight), dim=1)
        share, first, second = _means_of_nine(sums).unbind(dim=1)
        mean, mean_square = (x / share.clamp_min(0.1) for x in (first, second))
        return cls(share, mean, (mean_square - mean.square()).clamp_min(_MIN_VARIANCE))


def textures(local: LocalMoments, edges: Tensor) -> Tensor:
    """Return how local variances are distributed at each intensity: `(4 (B + 1),)`.

    In the order of noise, texture and edges weigh in: logarithms of the harmonic, geometric and
    arithmetic mean, and the deviation of the logarithm. A curve stretches the noise along
    with the intensities, so that this profile shows its slope.

    Parameters
    ----------
    local
        Moments of a scan whose quantiles are matched to the population's.
    edges
        `(B,)`: ascending limits of the intensity bins.
    """
    inside = local.share > 0.99
    variance = local.variance[inside]
    bins = torch.bucketize(local.mean[inside], edges)
    # A product of matrices, since a GPU's scattered sums differ from run to run.
    member = (bins[:, None] == torch.arange(len(edges) + 1, device=bins.device)).to(variance.dtype)
    log = variance.log()
    values = torch.stack(
        (torch.ones_like(log), 1 / (variance + 1e-5), log, log * log, variance), dim=1
    )
    count, inverse, mean, square, plain = (member.T @ values).unbind(dim=1)
    count = count.clamp_min(1)
    mean = mean / count
    deviation = (square / count - mean.square()).clamp_min(1e-6).sqrt()
    harmonic = -(inverse / count).clamp_min(1e-6).log()
    return torch.cat((harmonic, mean, (plain / count).clamp_min(1e-6).log(), deviation))


def two_scales(h: Tensor, mask: Tensor, edges: Tensor) -> Tensor:
    """Return the textures of a scan as it is and at half the resolution: `(8 (B + 1),)`.

    On the finer scale noise weighs more, on the coarser one anatomy.
    """
    weight = mask.to(h.dtype)
    total, share = F.avg_pool2d(torch.stack((h * weight, weight), dim=1), 2).unbind(dim=1)
    inside = share > 0.99
    half = LocalMoments.of(total * inside, inside)
    return torch.cat((textures(LocalMoments.of(h, mask), edges), textures(half, edges)))


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
        local = LocalMoments.of(h, mask)
        factors = [1] + [
            min(max(1, round(_PIXEL / spacing)), side)
            for spacing, side in zip(grid.spacing[1:], h.shape[1:], strict=True)
        ]
        weight = mask.to(h.dtype)
        parts = [(h <= edge).to(h.dtype) * weight for edge in edges]
        channels = torch.stack((weight, h * weight, local.variance.log() * weight, *parts))
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
