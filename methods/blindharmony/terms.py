"""The two data terms of BlindHarmony's objective, with their gradients in closed form.

    min_x  alpha/2 |f(x)|^2 - beta1 <x, x_s> / (|x| |x_s|)
           + beta2 (|Mx . Sx x|_1 + |My . Sy x|_1)

Eq. 1 is the correlation with the source slice x_s, Eq. 2 the edges of x where x_s has none.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .._quantiles import masked_quantile

# Norms per slice are kept above this, as in the released code.
EPS = 1e-6


def _norm(x: Tensor) -> Tensor:
    return x.square().sum(dim=(-2, -1), keepdim=True).sqrt().clamp_min(EPS)


def correlation_gradient(x: Tensor, x_s: Tensor, *, centred: bool = False) -> Tensor:
    """Return the gradient of -corr(x, x_s) with respect to x (Eq. 1).

    Parameters
    ----------
    x, x_s
        `(B, H, W)`; each slice is correlated by itself.
    centred
        Pearson's correlation over the slice, instead of the cosine.
    """
    if centred:
        x = x - x.mean(dim=(-2, -1), keepdim=True)
        x_s = x_s - x_s.mean(dim=(-2, -1), keepdim=True)
    length = _norm(x)
    u, u_s = x / length, x_s / _norm(x_s)
    cosine = (u * u_s).sum(dim=(-2, -1), keepdim=True)
    return (cosine * u - u_s) / length


def _sobel_kernels(like: Tensor) -> Tensor:
    """Return Sx and Sy as kernels `(2, 1, 3, 3)`; x runs along W."""
    smooth, slope = like.new_tensor([1, 2, 1]), like.new_tensor([-1, 0, 1])
    return torch.stack((torch.outer(smooth, slope), torch.outer(slope, smooth)))[:, None]


def sobel(x: Tensor) -> Tensor:
    """Return Sx x and Sy x, `(B, 2, H, W)`, of slices `(B, H, W)`; zero beyond the border."""
    return F.conv2d(x[:, None], _sobel_kernels(x), padding=1)


def edge_gradient(x: Tensor, M: Tensor) -> Tensor:
    """Return the (sub)gradient of |Mx . Sx x|_1 + |My . Sy x|_1 with respect to x (Eq. 2).

    Parameters
    ----------
    x
        `(B, H, W)`.
    M
        Non-edge masks `(B, 2, H, W)`, as of `non_edge_mask`.
    """
    signs = torch.where(M, sobel(x).sign(), 0.0)
    return F.conv_transpose2d(signs, _sobel_kernels(x), padding=1)[:, 0]


def non_edge_mask(
    x_s: Tensor,
    foreground: Tensor,
    *,
    quantile: float = 0.3,
    threshold: float = 0.05,
) -> Tensor:
    """Return Mx and My: where the source has signal, and no edge along x or along y.

    Parameters
    ----------
    x_s, foreground
        Source slices `(B, H, W)`, and the brain in them.
    quantile
        No edge is where the gradient's magnitude is within this quantile of the foreground's.
        The released code takes the quantile over the whole slice; in a slice without a skull
        more than 30 % of the pixels are background of gradient zero, so the mask is empty.
    threshold
        Signal is above this.

    Returns
    -------
    Tensor
        `(B, 2, H, W)` bool.
    """
    magnitude = sobel(x_s).abs()
    rows = foreground[:, None].expand_as(magnitude).flatten(0, 1).flatten(1)
    limit = masked_quantile(magnitude.flatten(0, 1).flatten(1), rows, quantile)
    flat = magnitude <= limit.view(*magnitude.shape[:2], 1, 1)
    return flat & (x_s > threshold)[:, None]
