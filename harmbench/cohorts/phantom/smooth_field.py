"""Smooth random fields: uniform cubic B-splines on a lattice of nodes over the head."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harmbench.cohorts.phantom.lattice import Axes

# All of the template, in mm along z, x and y: the box on which random fields are drawn,
# whatever the grid, so that a subject is the same subject on every grid.
_BOX_LOW = (-72.0, -98.0, -134.0)
_BOX_HIGH = (116.0, 98.0, 98.0)


@dataclass(frozen=True, eq=False)
class SmoothField:
    """A random field that is smooth.

    Attributes
    ----------
    coefficients
        `(C, nz, nx, ny)` float32, drawn such that the field has unit variance.
    spacing
        Distance of the lattice's nodes in mm, which is about the field's correlation length.
    """

    coefficients: npt.NDArray[np.float32]
    spacing: float

    @classmethod
    def draw(cls, generator: np.random.Generator, spacing: float, channels: int = 1) -> SmoothField:
        """Draw independent standard normal coefficients, scaled to a field of unit variance."""
        nodes = [
            math.ceil((high - low) / spacing) + 3
            for low, high in zip(_BOX_LOW, _BOX_HIGH, strict=True)
        ]
        values = generator.standard_normal((channels, *nodes), dtype=np.float32)
        # The squares of the cubic B-spline's weights add to 151/315 per axis on average.
        return cls(values / np.float32((151 / 315) ** 1.5), spacing)

    def on(self, axes: Axes) -> Tensor:
        """Evaluate on regular or irregular axes in mm: `(C, D, H, W)` float32."""
        field = torch.from_numpy(self.coefficients)
        # Separable: one small matrix product per axis instead of 64 terms per voxel.
        z, x, y = (
            self._weights(axis, low, count)
            for axis, low, count in zip(axes, _BOX_LOW, self.coefficients.shape[1:], strict=True)
        )
        field = torch.einsum("di,cijk->cdjk", z, field)
        field = torch.einsum("hj,cdjk->cdhk", x, field)
        return field @ y.T

    def at(self, points: Tensor) -> Tensor:
        """Evaluate at `(3, D, H, W)` mm, z, x and y: `(C, D, H, W)` float32."""
        nodes = self.coefficients.shape[1:]
        coefficients = torch.from_numpy(self.coefficients).flatten(1)
        firsts: list[Tensor] = []
        weights: list[tuple[Tensor, ...]] = []
        for coordinate, low, count in zip(points, _BOX_LOW, nodes, strict=True):
            node = self._node(coordinate, low, count)
            first = node.floor().long() - 1
            firsts.append(first)
            weights.append(tuple(_cubic(node - first - step) for step in range(4)))
        result = torch.zeros(len(coefficients), *points.shape[1:])
        for i, j, k in itertools.product(range(4), repeat=3):
            index = ((firsts[0] + i) * nodes[1] + firsts[1] + j) * nodes[2] + firsts[2] + k
            result += weights[0][i] * weights[1][j] * weights[2][k] * coefficients[:, index]
        return result

    def _weights(self, axis: Tensor, low: float, count: int) -> Tensor:
        """Return the `(len(axis), count)` weights of the nodes at the points of an axis."""
        return _cubic(self._node(axis, low, count)[:, None] - torch.arange(count))

    def _node(self, coordinate: Tensor, low: float, count: int) -> Tensor:
        """Return coordinates in units of nodes; beyond the box, those of its edge."""
        return ((coordinate - low) / self.spacing).clamp(0, count - 3 - 1e-3) + 1


def _cubic(distance: Tensor) -> Tensor:
    """Return the uniform cubic B-spline at distances in nodes."""
    distance = distance.abs()
    inner = 2 / 3 - distance**2 + distance**3 / 2
    outer = (2 - distance).clamp(min=0) ** 3 / 6
    return torch.where(distance < 1, inner, outer)
