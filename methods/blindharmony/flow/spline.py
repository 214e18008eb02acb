"""Monotone rational-quadratic splines (Durkan et al. 2019, section 3.1), without branches.

Each input needs one of K bins. So the gradient is written by hand: the softmaxes' exponentials
are the only tensors of size K that are kept, and no tensor's size depends on the data.

Internally, parameters are (3 K - 1, C, N), so that each row is contiguous.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

# Minimum bin width, bin height and slope, as in nflows and the original implementation.
MIN_BIN = 1e-3
MIN_SLOPE = 1e-3
# The logit of slope 1, the slope of the linear tails.
_TAIL_LOGIT = math.log(math.expm1(1 - MIN_SLOPE))


class _Bin(NamedTuple):
    """Each input's bin k, and its parameters.

    With p = softmax(logits) over the bins, bin k begins at sum_{j<k} p_j and is p_k large,
    before the minimum size is added. Slopes are logits.
    """

    k: Tensor  # (C, N), as floats
    e: Tensor  # (2, K, C, N): the exponentials behind p, of widths and heights
    share: Tensor  # (2, C, N): p is e times its share
    start: Tensor  # (2, C, N)
    size: Tensor  # (2, C, N)
    slopes: Tensor  # (2, C, N): logits at the bin's two knots


def _bin(t: Tensor, parameters: Tensor, K: int, scale: float, *, inverse: bool) -> _Bin:
    """Find the bins of t `(C, N)`, shares of the axis that it lies on."""
    C, N = t.shape
    rows = parameters.transpose(0, 1).contiguous()
    logits = rows[: 2 * K].view(2, K, C, N)
    # The softmax and its running sum by hand: they share the division, and torch's own
    # are slow along an axis that is not the last. To the base 2 it takes half of the time.
    highest = logits.amax(dim=1, keepdim=True)
    factor = scale / math.log(2)
    e = torch.add(highest * -factor, logits, alpha=factor).exp2_()
    ends = e.clone()
    for before, end in itertools.pairwise(ends.unbind(dim=1)):
        end.add_(before)
    share = ends[:, K - 1].reciprocal()
    # The knots on the axis that t lies on; t's bin is the number of those below it.
    axis = 1 if inverse else 0
    count = torch.arange(1, K, device=t.device, dtype=t.dtype)[:, None, None]
    knots = torch.addcmul(MIN_BIN * count, ends[axis, : K - 1], share[axis], value=1 - MIN_BIN * K)
    below = knots.le_(t)
    k = below.sum(dim=0)
    position = k.long().mul_(C * N).flatten().add_(torch.arange(C * N, device=t.device))
    size = e.flatten(1).index_select(1, position).view(2, C, N)
    start = ends.flatten(1).index_select(1, position).view(2, C, N).sub_(size).mul_(share)
    # The outermost knots have the tails' slope; the row that is selected there is not used.
    flat = rows.flatten()
    left = flat[(2 * K - 1) * C * N :].index_select(0, position).view(C, N)
    right = flat[2 * K * C * N :].index_select(0, position.clamp_max_((K - 1) * C * N - 1))
    tail = t.new_full((), _TAIL_LOGIT)
    left = torch.lerp(tail, left, below[0])
    right = torch.lerp(right.view(C, N), tail, below[-1])
    return _Bin(k, e, share, start, size.mul_(share), torch.stack((left, right)))


class _Piece(NamedTuple):
    """The rational-quadratic piece on a bin, in the unit square; all `(C, N)`."""

    theta: Tensor  # where in the bin, in [0, 1]
    x: Tensor  # the bin's corner
    y: Tensor
    w: Tensor  # its width
    h: Tensor  # its height
    s: Tensor  # its slope
    d0: Tensor  # the knots' slopes
    d1: Tensor
    bend: Tensor  # d0 + d1 - 2 s


def _piece(t: Tensor, selected: _Bin, K: int, *, inverse: bool) -> _Piece:
    """Solve for theta."""
    free = 1 - MIN_BIN * K
    x, y = torch.add(selected.k * MIN_BIN, selected.start, alpha=free).unbind()
    w, h = (selected.size * free).add_(MIN_BIN).unbind()
    d0, d1 = F.softplus(selected.slopes).add_(MIN_SLOPE).unbind()
    s = h / w
    bend = (d0 + d1).sub_(s, alpha=2)
    if inverse:
        # Equations 6 to 8 of the paper's section 3.1, and the root that does not cancel.
        rise = t - y
        shift = rise * bend
        a = (s - d0).mul_(h).add_(shift)
        b = (h * d0).sub_(shift)
        c = rise.mul_(s)  # of the opposite sign
        # Negative only by rounding.
        root = (b * b).addcmul_(a, c, value=4).clamp_min_(0).sqrt_()
        theta = c.mul_(2).div_(root.add_(b))
    else:
        theta = (t - x).div_(w)
    return _Piece(theta.clamp_(0, 1), x, y, w, h, s, d0, d1, bend)


def _evaluate(p: _Piece, *, inverse: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Return the result in the unit square, theta (1 - theta), and the denominator."""
    theta_product = (1 - p.theta).mul_(p.theta)
    denominator = torch.addcmul(p.s, p.bend, theta_product)
    if inverse:
        return torch.addcmul(p.x, p.theta, p.w), theta_product, denominator
    numerator = (p.theta * p.theta).mul_(p.s).addcmul_(p.d0, theta_product)
    return torch.addcmul(p.y, p.h, numerator.div_(denominator)), theta_product, denominator


def _slope_numerator(p: _Piece, theta_product: Tensor) -> Tensor:
    """Return the numerator of the derivative (equation 5) without its factor s^2."""
    opposite = 1 - p.theta
    numerator = opposite.mul_(opposite).mul_(p.d0).addcmul_(p.s, theta_product, value=2)
    return numerator.addcmul_(p.d1, p.theta * p.theta)


def _unit(inputs: Tensor, bound: float) -> tuple[Tensor, Tensor]:
    """Return inputs clamped to the bounds, and those as shares of the axis."""
    inside = inputs.clamp(-bound, bound)
    return inside, (inside + bound).div_(2 * bound)


def _outputs(result: Tensor, inputs: Tensor, inside: Tensor, bound: float) -> Tensor:
    """Undo `_unit` of a result, in place.

    Beyond the bounds theta is 0 or 1 and the slope is 1, so the tail only adds the distance
    to the bound.
    """
    return result.mul_(2 * bound).sub_(bound).add_(inputs - inside)


class _Spline(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        parameters: Tensor,
        bins: int,
        bound: float,
        scale: float,
        inverse: bool,
    ) -> tuple[Tensor, Tensor]:
        inside, t = _unit(inputs, bound)
        selected = _bin(t, parameters, bins, scale, inverse=inverse)
        piece = _piece(t, selected, bins, inverse=inverse)
        result, theta_product, denominator = _evaluate(piece, inverse=inverse)
        logabsdet = (piece.s / denominator).log_().mul_(2)
        logabsdet += _slope_numerator(piece, theta_product).log_()
        if inverse:
            logabsdet.neg_()
        ctx.save_for_backward(inputs, inside, *selected, *piece)
        ctx.options = bins, bound, scale, inverse
        return _outputs(result, inputs, inside, bound), logabsdet

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_outputs: Tensor, d_log: Tensor) -> tuple[Tensor | None, ...]:
        inputs, inside, *saved = ctx.saved_tensors
        K, bound, scale, inverse = ctx.options
        fields = len(_Bin._fields)
        selected, p = _Bin(*saved[:fields]), _Piece(*saved[fields:])
        # With r = theta (1 - theta): the curve is y + h P / Q, where P = s theta^2 + d0 r and
        # Q = s + bend r, and its log-slope 2 log(s / Q) + log R, R of equation 5.
        theta, s = p.theta, p.s
        opposite = 1 - theta
        square, opposite_square, r = theta * theta, opposite * opposite, theta * opposite
        per_Q = torch.addcmul(s, p.bend, r).reciprocal_()
        rho = (s * square).addcmul_(p.d0, r).mul_(per_Q)
        R = _slope_numerator(p, r)
        per_R = R.reciprocal()
        turn = opposite - theta  # d r / d theta
        of_theta = (s * per_Q).mul_(per_Q).mul_(R)  # d rho / d theta
        log_of_theta = torch.addcmul(p.d1 * theta, p.d0, opposite, value=-1)
        log_of_theta.addcmul_(s, turn).mul_(per_R).addcmul_(p.bend * turn, per_Q, value=-1)
        # d loss by the result in the unit square, and by the log-slope times 2, of which
        # all derivatives here are halves.
        g, g_log = d_outputs * (2 * bound), d_log * (-2 if inverse else 2)
        if inverse:
            # Implicit function: a change of the curve at theta moves theta instead.
            d_t = torch.addcmul(g * p.w, g_log, log_of_theta).div_(of_theta.mul_(p.h))
            d_curve = -d_t
            d_x, d_y, d_w = g, d_curve, g * theta
        else:
            d_curve = g
            d_theta = (g * p.h).mul_(of_theta).addcmul_(g_log, log_of_theta)
            d_t = d_theta.div_(p.w)
            d_x, d_y, d_w = -d_t, g, d_t * theta.neg()
        d_rho = (d_curve * p.h).mul_(per_Q)  # over Q, as all derivatives of rho are
        r_log = g_log * r
        both = torch.addcmul(r_log * per_Q, d_rho * rho, r)  # through Q, by d0 and d1 alike
        half_log = (g_log * per_R).mul_(0.5)
        d_d0 = torch.addcmul(d_rho * r, half_log, opposite_square).sub_(both)
        d_d1 = (half_log * square).sub_(both)
        through_Q = torch.addcmul(g_log * per_Q, d_rho, rho).mul_(1 - 2 * r)
        d_s = torch.addcmul(d_rho * square, r_log, per_R).addcdiv_(g_log, s).sub_(through_Q)
        d_s.div_(p.w)
        d_h = torch.addcmul(d_s, d_curve, rho)
        d_w = torch.addcmul(d_w, d_s, s, value=-1)
        free = 1 - MIN_BIN * K
        d_parameters = _bin_gradient(
            selected,
            torch.stack((d_x, d_y)).mul_(free),
            torch.stack((d_w, d_h)).mul_(free),
            torch.stack((d_d0, d_d1)).mul_(selected.slopes.sigmoid()),
            scale,
        )
        d_inputs = torch.where(inside == inputs, d_t.div_(2 * bound), d_outputs)
        return d_inputs, d_parameters, None, None, None, None


def _bin_gradient(
    selected: _Bin, d_start: Tensor, d_size: Tensor, d_slopes: Tensor, scale: float
) -> Tensor:
    """Return d loss / d parameters `(C, 3 K - 1, N)`, given that by what `_bin` found."""
    _, K, C, N = selected.e.shape
    # d/d logit_j = p_j (d/dp_j - sum_i p_i d/dp_i), where d/dp_j is d_start for the bins
    # before k, d_size for bin k and 0 after it; so the sum is known already.
    share = selected.share * scale
    mean = (d_start * selected.start).addcmul_(d_size, selected.size)
    j = torch.arange(K, device=share.device, dtype=share.dtype)[:, None, None]
    ahead = selected.k - j  # 0 at bin k alone
    at = (ahead == 0).to(share.dtype)
    before = ahead.clamp_(0, 1)
    rows = share.new_empty(3 * K - 1, C, N)
    d_logits = rows[: 2 * K].view(2, K, C, N)
    torch.mul(before, (d_start * share)[:, None], out=d_logits)
    d_logits.addcmul_(at, (d_size * share)[:, None]).sub_(mean.mul_(share)[:, None])
    d_logits.mul_(selected.e)
    torch.mul(at[1:], d_slopes[0], out=rows[2 * K :])
    rows[2 * K :].addcmul_(at[:-1], d_slopes[1])
    return rows.transpose(0, 1)


def rational_quadratic(
    inputs: Tensor,
    parameters: Tensor,
    *,
    bins: int,
    bound: float,
    scale: float = 1.0,
    inverse: bool = False,
) -> tuple[Tensor, Tensor]:
    """Apply a separate spline to every input; the identity outside of [-bound, bound].

    Parameters
    ----------
    inputs
        `(C, N)`.
    parameters
        `(C, 3 K - 1, N)`: logits of K widths and K heights, and of the K - 1 inner slopes,
        as nflows orders them. Costs no copy if it is a view of `(3 K - 1, C, N)`.
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
    result: tuple[Tensor, Tensor] = _Spline.apply(  # type: ignore[no-untyped-call]
        inputs, parameters, bins, bound, scale, inverse
    )
    return result


def rational_quadratic_value(
    inputs: Tensor,
    parameters: Tensor,
    *,
    bins: int,
    bound: float,
    scale: float = 1.0,
    inverse: bool = False,
) -> Tensor:
    """Return only the outputs of `rational_quadratic`; without gradients."""
    inside, t = _unit(inputs, bound)
    selected = _bin(t, parameters, bins, scale, inverse=inverse)
    result, _, _ = _evaluate(_piece(t, selected, bins, inverse=inverse), inverse=inverse)
    return _outputs(result, inputs, inside, bound)
