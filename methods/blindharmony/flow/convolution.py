"""3x3 convolution of channels-last images, by Winograd's algorithm where that is faster.

It is faster on a CPU with many channels; with few channels, its transforms cost more than its
products save. In a forward pass without gradients it is faster only if each thread has its own
slices, because oneDNN divides one convolution among threads better.

In training, the input is normalised and rectified first. The backward pass repeats that,
because keeping the result would take twice the memory.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import winograd

# Measured with 32 and 96 channels, and images of 9 x 11 to 72 x 88 pixels.
_CHANNELS = 64
_PIXELS = 1000


def _convolve(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    if torch.get_num_threads() == 1:
        return winograd.convolve(x.permute(0, 2, 3, 1), weight, bias).permute(0, 3, 1, 2)
    return F.conv2d(x, weight, bias, padding=1)


def _fast(x: Tensor, weight: Tensor) -> bool:
    """Whether Winograd's algorithm is the faster one in some pass."""
    many = min(weight.shape[:2]) >= _CHANNELS and x[0, 0].numel() >= _PIXELS
    return many and x.device.type == "cpu" and not torch.is_autocast_enabled("cpu")


def conv3x3(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolve x `(B, C, H, W)` with weights `(D, C, 3, 3)`; zero beyond the border.

    Winograd's algorithm takes part only where no gradient is recorded.
    """
    if _fast(x, weight) and not torch.is_grad_enabled():
        return _convolve(x, weight, bias)
    return F.conv2d(x, weight, bias, padding=1)


class _PreActivated(torch.autograd.Function):
    """Normalise, rectify and convolve, with nothing kept but the input."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, norm: nn.BatchNorm2d, scale: Tensor, shift: Tensor, *conv: Tensor
    ) -> Tensor:
        weight, bias = conv
        assert norm.momentum is not None  # as nflows makes them: no cumulative average
        activated, mean, inverse_std = torch.native_batch_norm(
            x,
            scale,
            shift,
            norm.running_mean,
            norm.running_var,
            norm.training,
            norm.momentum,
            norm.eps,
        )
        ctx.norm = norm
        # In eval mode both are empty, because the running statistics were used.
        ctx.save_for_backward(x, scale, shift, weight, mean, inverse_std)
        return _convolve(activated.relu_(), weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        norm = ctx.norm
        x, scale, shift, weight, mean, inverse_std = ctx.saved_tensors
        used_mean, used_inverse = mean, inverse_std
        if not norm.training:
            used_mean, used_inverse = norm.running_mean, (norm.running_var + norm.eps).rsqrt()
        factor = scale * used_inverse
        channels_last = x.permute(0, 2, 3, 1)
        activated = torch.addcmul(shift - factor * used_mean, channels_last, factor).relu_()
        of_activated, of_weight = winograd.gradients(
            activated,
            weight,
            gradient.permute(0, 2, 3, 1),
            # Not needed if the flow is frozen, as in blindcurve.
            trained=ctx.needs_input_grad[4],
        )
        torch.ops.aten.threshold_backward(of_activated, activated, 0, grad_input=of_activated)
        of_x, of_scale, of_shift = torch.ops.aten.native_batch_norm_backward(
            of_activated.permute(0, 3, 1, 2),
            x,
            scale,
            norm.running_mean,
            norm.running_var,
            mean,
            inverse_std,
            norm.training,
            norm.eps,
            [True, True, True],
        )
        return of_x, None, of_scale, of_shift, of_weight, gradient.sum(dim=(0, 2, 3))


def preactivated_conv3x3(x: Tensor, norm: nn.BatchNorm2d, weight: Tensor, bias: Tensor) -> Tensor:
    """Normalise x `(B, C, H, W)` by `norm`, rectify it, and convolve the result as `conv3x3`."""
    if _fast(x, weight) and torch.is_grad_enabled():
        if norm.training and norm.num_batches_tracked is not None:
            norm.num_batches_tracked.add_(1)
        y: Tensor = _PreActivated.apply(x, norm, norm.weight, norm.bias, weight, bias)  # type: ignore[no-untyped-call]
        return y
    return conv3x3(F.relu(norm(x), inplace=True), weight, bias)
