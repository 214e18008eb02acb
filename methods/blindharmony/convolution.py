"""3x3 convolution of channels-last images, by Winograd's algorithm where that is faster.

That is on a CPU and with many channels: with fewer, its transforms cost what its products
save. And of the forward pass alone only where each thread works for itself: oneDNN's is as
fast as the cores multiply, and shares the work between threads better.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from . import winograd

# Measured with 32 and 96 channels, and images of 9 x 11 to 72 x 88 pixels.
_CHANNELS = 64
_PIXELS = 1000


def _convolve(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    if torch.get_num_threads() == 1:
        return winograd.convolve(x.permute(0, 2, 3, 1), weight, bias).permute(0, 3, 1, 2)
    return F.conv2d(x, weight, bias, padding=1)


class _Conv3x3(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _convolve(x, weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_x, of_weight = winograd.gradients(
            x.permute(0, 2, 3, 1),
            weight,
            gradient.permute(0, 2, 3, 1),
            # Of a flow that is not trained, as under maximum likelihood, nobody asks for it.
            trained=ctx.needs_input_grad[1],
        )
        return of_x.permute(0, 3, 1, 2), of_weight, gradient.sum(dim=(0, 2, 3))


def conv3x3(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolve x `(B, C, H, W)` with weights `(D, C, 3, 3)`; zero beyond the border."""
    many = min(weight.shape[:2]) >= _CHANNELS and x[0, 0].numel() >= _PIXELS
    if not many or x.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
        return F.conv2d(x, weight, bias, padding=1)
    if not torch.is_grad_enabled():
        return _convolve(x, weight, bias)
    y: Tensor = _Conv3x3.apply(x, weight, bias)  # type: ignore[no-untyped-call]
    return y
