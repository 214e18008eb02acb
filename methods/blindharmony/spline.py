"""Monotone rational-quadratic splines (Durkan et al. 2019, section 3.1), without branches.

Of K bins an input needs one. So the gradient is written out by hand down to that bin's
corner, size and slopes: nothing of size K is kept but the softmaxes, and nothing is
gathered by a mask, whose size would depend on the data.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

# nflows' and the original implementation's least bin width, bin height and slope.
MIN_BIN = 1e-3
MIN_SLOPE = 1e-3
# The logit whose slope is 1, as the linear tails have it.
_TAIL_LOGIT = math.log(math.expm1(1 - MIN_SLOPE))


class _Bin(torch.autograd.Function):
    """Find each input's bin, and what the spline needs to know of it.

    With p = softmax(logits) over the bins, bin k begins at sum_{j<k} p_j and is p_k large,
    before the least size is mixed in. Slopes stay logits, since only two are needed.
    """

    @staticmethod
    def forward(
        ctx: Any, t: Tensor, parameters: Tensor, bins: int, scale: float, inverse: bool
    ) -> tuple[Tensor, ...]:
        K = bins
        # Widths and heights at once: (C, 2, K, N).
        C, _, N = parameters.shape
        logits = parameters[:, : 2 * K].reshape(C, 2, K, N)
        # The softmax and its running sum by hand: they share the division, and torch's own
        # are slow along an axis that is not the last.
        highest = logits.amax(dim=2, keepdim=True)
        e = torch.add(highest * -scale, logits, alpha=scale).exp_()
        ends = e.clone()
        for j in range(1, K):
            ends[:, :, j] += ends[:, :, j - 1]
        share = ends[:, :, K - 1 :].reciprocal()
        # The knots on the axis that t lies on; t's bin is the number of those below it.
        axis = 1 if inverse else 0
        count = torch.arange(1, K, device=t.device, dtype=t.dtype)[:, None]
        free = (1 - MIN_BIN * K) * share[:, axis]
        knots = torch.addcmul(MIN_BIN * count, ends[:, axis, : K - 1], free)
        k = (t[:, None] >= knots).sum(dim=1, keepdim=True)
        of_both = k[:, None].expand(C, 2, 1, N)
        size = e.gather(2, of_both)
        start = (ends.gather(2, of_both) - size) * share
        size = size * share
        # Slope logits at the bin's two knots; the outermost knots have the tails' slope.
        slopes = parameters[:, 2 * K :]
        tail = t.new_full((), _TAIL_LOGIT)
        left = torch.where(k > 0, slopes.gather(1, (k - 1).clamp_min(0)), tail)
        right = torch.where(k < K - 1, slopes.gather(1, k.clamp_max(K - 2)), tail)
        ctx.save_for_backward(e, share, k, start, size)
        ctx.bins, ctx.scale = bins, scale
        ctx.mark_non_differentiable(k)
        start, size = start.squeeze(2), size.squeeze(2)
        return (
            k.squeeze(1),
            *start.unbind(1),
            *size.unbind(1),
            left.squeeze(1),
            right.squeeze(1),
        )

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        e, share, k, start, size = ctx.saved_tensors
        K, (C, _, _, N) = ctx.bins, e.shape
        _, start_w, start_h, size_w, size_h, left, right = grads
        d_start = torch.stack((start_w, start_h), dim=1).unsqueeze(2)
        d_size = torch.stack((size_w, size_h), dim=1).unsqueeze(2)
        # d/d logit_j = p_j (d/dp_j - sum_i p_i d/dp_i), where d/dp_j is d_start for the
        # bins before k, d_size for bin k and 0 after it; so the sum is known already.
        mean = d_start * start + d_size * size
        share = share * ctx.scale  # p_j is e_j times its share
        before, at, after = (d_start - mean) * share, (d_size - mean) * share, -mean * share
        j = torch.arange(K, device=e.device)[:, None]
        of_both = k[:, None]
        d_logits = torch.where(j < of_both, before, after)
        d_logits.scatter_(2, of_both.expand(C, 2, 1, N), at)
        d_logits.mul_(e)
        d_slopes = e.new_zeros(C, K - 1, N)
        d_slopes.scatter_add_(1, (k - 1).clamp_min(0), left[:, None] * (k > 0))
        d_slopes.scatter_add_(1, k.clamp_max(K - 2), right[:, None] * (k < K - 1))
        return None, torch.cat((d_logits.flatten(1, 2), d_slopes), dim=1), None, None, None


def _unit(theta: Tensor) -> Tensor:
    """Return theta without what rounding put outside of [0, 1]; its gradient stays."""
    return theta + (theta.clamp(0, 1) - theta).detach()


def _solve(
    inputs: Tensor, parameters: Tensor, bins: int, bound: float, scale: float, inverse: bool
) -> tuple[Tensor, ...]:
    """Return outputs, theta in [0, 1], the bin's slope s_k, and the knots' d_k and d_{k+1}."""
    inside = inputs.clamp(-bound, bound)
    t = (inside + bound) / (2 * bound)
    k, x_k, y_k, w_k, h_k, left, right = _Bin.apply(  # type: ignore[no-untyped-call]
        t.detach(), parameters, bins, scale, inverse
    )
    # From shares of the whole to the unit square: t = (x + B) / 2 B on either axis.
    free = 1 - MIN_BIN * bins
    first = k.to(t.dtype) * MIN_BIN
    x_k, y_k = first + free * x_k, first + free * y_k
    w_k, h_k = MIN_BIN + free * w_k, MIN_BIN + free * h_k
    d_k, d_next = MIN_SLOPE + F.softplus(left), MIN_SLOPE + F.softplus(right)
    s_k = h_k / w_k
    bend = d_k + d_next - 2 * s_k

    if inverse:
        # Equations 6 to 8 of the paper's section 3.1, and the root that does not cancel.
        rise = t - y_k
        a = h_k * (s_k - d_k) + rise * bend
        b = h_k * d_k - rise * bend
        c = -s_k * rise
        # Negative by rounding alone.
        root = (b * b - 4 * a * c).clamp_min(0).sqrt()
        theta = _unit(2 * c / (-b - root))
        result = x_k + theta * w_k
    else:
        theta = _unit((t - x_k) / w_k)
        rest = theta * (1 - theta)
        result = y_k + h_k * (s_k * theta * theta + d_k * rest) / (s_k + bend * rest)
    # Beyond the bounds theta is 0 or 1 and the slope there is 1: the tail needs no case
    # of its own but the distance to the bound.
    outputs = result * (2 * bound) - bound + (inputs - inside)
    return outputs, theta, s_k, d_k, d_next


def rational_quadratic(
    inputs: Tensor,
    parameters: Tensor,
    *,
    bins: int,
    bound: float,
    scale: float = 1.0,
    inverse: bool = False,
) -> tuple[Tensor, Tensor]:
    """Apply a spline of its own to every input; the identity outside of [-bound, bound].

    Parameters
    ----------
    inputs
        `(C, N)`.
    parameters
        `(C, 3 K - 1, N)`: logits of K widths and K heights, and of the K - 1 inner slopes,
        as nflows orders them.
    bins, bound
        K, at least 2, and B.
    scale
        Multiplies the logits of widths and heights; positive.
    inverse
        Apply the inverse spline.

    Returns
    -------
    tuple
        Outputs and log-derivatives, both `(C, N)`.
    """
    outputs, theta, s_k, d_k, d_next = _solve(inputs, parameters, bins, bound, scale, inverse)
    rest, opposite = theta * (1 - theta), 1 - theta
    # Equation 5: the derivative.
    numerator = d_next * theta * theta + 2 * s_k * rest + d_k * opposite * opposite
    denominator = s_k + (d_k + d_next - 2 * s_k) * rest
    logabsdet = 2 * (s_k / denominator).log() + numerator.log()
    return outputs, -logabsdet if inverse else logabsdet


def rational_quadratic_value(
    inputs: Tensor,
    parameters: Tensor,
    *,
    bins: int,
    bound: float,
    scale: float = 1.0,
    inverse: bool = False,
) -> Tensor:
    """Return the outputs of `rational_quadratic` alone, for where no density is asked for."""
    return _solve(inputs, parameters, bins, bound, scale, inverse)[0]
