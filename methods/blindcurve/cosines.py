"""Smooth fields on a scan, as sums of low-order cosines: the fields of `blindcurve`."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor


def cosine_terms(degree: int) -> list[tuple[int, ...]]:
    """Return the orders of the cosines along each axis, of total order 1 to `degree`."""
    orders = range(degree + 1)
    return [t for t in itertools.product(orders, repeat=3) if 0 < sum(t) <= degree]


class Cosines:
    """Logarithms of smooth fields on a scan: sums of low-order cosines.

    Parameters
    ----------
    degree
        Greatest total order; the constant is not among the P terms.

    Attributes
    ----------
    degrees
        `(P,)` float32: total order of each term.
    """

    def __init__(self, degree: int) -> None:
        self.degree = degree
        self.terms = cosine_terms(degree)
        self.degrees = torch.tensor([float(sum(t)) for t in self.terms])

    def _waves(self, positions: Tensor) -> Tensor:
        """Return cos(pi k u) for k = 0 ... degree and u `(n,)`: `(degree + 1, n)`."""
        orders = torch.arange(self.degree + 1, device=positions.device)
        return torch.cos(torch.pi * orders[:, None] * positions)

    def at(self, positions: Tensor) -> Tensor:
        """Return the terms at positions `(n, 3)` in [0, 1] of slice, row and column: `(n, P)`."""
        i, j, k = torch.tensor(self.terms, device=positions.device).unbind(dim=1)
        s, h, w = (self._waves(axis) for axis in positions.unbind(dim=1))
        return (s[i] * h[j] * w[k]).T

    def field(self, coefficients: Tensor, shape: tuple[int, int, int]) -> Tensor:
        """Return the logarithm of a field on a scan `(S, H, W)`."""
        device, n = coefficients.device, self.degree + 1
        i, j, k = torch.tensor(self.terms, device=device).unbind(dim=1)
        cube = coefficients.new_zeros(n, n, n)
        cube[i, j, k] = coefficients
        s, h, w = (self._waves((torch.arange(m, device=device) + 0.5) / m) for m in shape)
        return torch.einsum("ijk,is,jh,kw->shw", cube, s, h, w)

    def basis(self, index: Tensor, shape: tuple[int, int, int]) -> Tensor:
        """Return the terms on the slices `index` `(s,)` of a scan `(S, H, W)`: `(P, s, H, W)`."""
        S, H, W = shape
        positions = (
            (index + 0.5) / S,
            (torch.arange(H, device=index.device) + 0.5) / H,
            (torch.arange(W, device=index.device) + 0.5) / W,
        )
        i, j, k = torch.tensor(self.terms, device=index.device).unbind(dim=1)
        s, h, w = (self._waves(axis) for axis in positions)
        return s[i][:, :, None, None] * h[j][:, None, :, None] * w[k][:, None, None]
