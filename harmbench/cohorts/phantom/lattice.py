"""The voxels that are simulated, and how values get from coarse points to fine ones.

Arrays are `(D, H, W)` along MNI152 z, x and y, as in `harmbench.data.scans.Grid`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from harmbench.data.scans import Grid

# Coordinates in mm along z, x and y: 1-D each.
Axes = tuple[Tensor, Tensor, Tensor]

_INTERNAL = 1.2  # mm: what is simulated, before averaging down to a coarser grid


@dataclass(frozen=True)
class Lattice:
    """The voxels that are simulated: those of a grid, refined and with a margin.

    Attributes
    ----------
    axes
        MNI152 coordinates in mm of the voxel centres along z, x and y.
    factors
        Voxels of the lattice in one of the grid, along each axis.
    margin
        Voxels that the lattice has beyond the grid at either end of each axis.
    """

    axes: Axes
    factors: tuple[int, int, int]
    margin: int = 2

    @classmethod
    def of(cls, grid: Grid) -> Lattice:
        """Refine a grid to about 1.2 mm, however coarse it is."""
        x, y, z = grid.origin
        axes: list[Tensor] = []
        factors: list[int] = []
        for start, count, step in zip((z, x, y), grid.shape, grid.spacing, strict=True):
            factor = max(1, round(step / _INTERNAL))
            fine = step / factor
            index = torch.arange(-cls.margin, count * factor + cls.margin)
            axes.append((start - (factor - 1) / 2 * fine + index * fine).float())
            factors.append(factor)
        return cls((axes[0], axes[1], axes[2]), (factors[0], factors[1], factors[2]))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along z, x and y."""
        z, x, y = self.axes
        return (len(z), len(x), len(y))

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance in mm of neighbours along z, x and y."""
        z, x, y = (float(axis[1] - axis[0]) for axis in self.axes)
        return (z, x, y)

    def mesh(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return z, x and y in mm, shaped to broadcast to `(D, H, W)`."""
        z, x, y = self.axes
        return z[:, None, None], x[None, :, None], y[None, None, :]

    def to_grid(self, volume: Tensor) -> Tensor:
        """Average `(..., D, H, W)` over the voxels of the grid, to `(..., S, H, W)`."""
        inner = slice(self.margin, -self.margin)
        volume = volume[..., inner, inner, inner]
        if self.factors == (1, 1, 1):
            return volume
        pooled = F.avg_pool3d(volume.reshape(-1, 1, *volume.shape[-3:]), self.factors)
        return pooled.reshape(*volume.shape[:-3], *pooled.shape[2:])


def points_of(axes: Axes) -> Tensor:
    """Return the positions of all voxels of three axes: `(3, D, H, W)` mm along z, x and y."""
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


def coarse_axes(axes: Axes, step: float, margin: float = 0.0) -> Axes:
    """Return points at whole multiples of `step` mm that cover `axes` and a margin in mm.

    Multiples, so that two grids that overlap share their coarse points.
    """
    z, x, y = (
        step
        * torch.arange(
            math.floor((float(axis[0]) - margin) / step),
            math.ceil((float(axis[-1]) + margin) / step) + 1,
        )
        for axis in axes
    )
    return z, x, y


def interpolate(values: Tensor, coarse: Axes, fine: Axes) -> Tensor:
    """Interpolate `(C, a, b, c)` linearly from regular coarse axes: `(C, D, H, W)`."""
    z, x, y = (
        (1 - (to[:, None] - at).abs() / (at[1] - at[0])).clamp(min=0)
        for at, to in zip(coarse, fine, strict=True)
    )
    # Separable: one small matrix product per axis.
    values = torch.einsum("di,cijk->cdjk", z, values)
    values = torch.einsum("hj,cdjk->cdhk", x, values)
    return values @ y.T


def sample(values: Tensor, axes: Axes, points: Tensor) -> Tensor:
    """Interpolate `(C, a, b, c)` on regular axes linearly at `(3, D, H, W)` mm, z, x and y.

    Returns
    -------
    Tensor
        `(C, D, H, W)`; beyond the axes, the value at the edge.
    """
    # grid_sample wants the last axis first, each in [-1, 1] from first to last voxel.
    index = torch.empty(1, *points.shape[1:], 3)
    for number, (coordinate, axis) in enumerate(zip(points, axes, strict=True)):
        length = float(axis[-1] - axis[0])
        index[0, ..., 2 - number] = (coordinate - float(axis[0])) * (2 / length) - 1
    return F.grid_sample(values[None], index, align_corners=True, padding_mode="border")[0]
