"""3x3 convolution of channels-last images, with a forward and a gradient that a CPU does fast.

Many channels go through Winograd's algorithm. With fewer, its transforms cost what it saves;
there the gradient alone is ours: oneDNN's gradient of the weights is slow for channels-last
activations without AVX-512, twice to four times the forward pass; by products it is 1.5 times.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from . import winograd

# With fewer pixels in a batch, the products below gain nothing (measured at 32 and 96 channels).
_MANY = 4096
# With fewer channels or pixels of an image Winograd's algorithm gains nothing (measured with
# 32 and 96 channels, and levels of 9 x 11 and 18 x 22).
_WINOGRAD_CHANNELS = 64
_WINOGRAD_PIXELS = 256


def _weight_gradient(x: Tensor, gradient: Tensor) -> Tensor:
    """Return d loss / d weight `(D, C, 3, 3)`, given x `(B, C, H, W)` and d loss / dy.

    One matrix product for each of the nine offsets. With padded images as one long row of
    pixels, an offset of the image is an offset in the row, so that nothing is copied.
    """
    C, D, W = x.shape[1], gradient.shape[1], x.shape[3] + 2
    padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1)).reshape(-1, C)
    rows = F.pad(gradient.permute(0, 2, 3, 1), (0, 0, 0, 2, 0, 2)).reshape(-1, D)
    length = len(rows) - 2 * W - 2
    transposed = rows[:length].t()
    offsets = [W * i + j for i in range(3) for j in range(3)]
    taps = [transposed @ padded[offset : offset + length] for offset in offsets]
    return torch.stack(taps, dim=2).view(D, C, 3, 3)


def _by_winograd(x: Tensor, weight: Tensor) -> bool:
    """Whether Winograd's algorithm is the faster one."""
    channels, pixels = min(weight.shape[:2]), x.shape[2] * x.shape[3]
    return channels >= _WINOGRAD_CHANNELS and pixels >= _WINOGRAD_PIXELS


def _convolve(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    if _by_winograd(x, weight):
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
        of_bias = gradient.sum(dim=(0, 2, 3))
        of_weight: Tensor | None
        # Of a flow that is not trained, as under maximum likelihood, nobody asks for it.
        trained = ctx.needs_input_grad[1]
        if _by_winograd(x, weight):
            last = x.permute(0, 2, 3, 1), weight, gradient.permute(0, 2, 3, 1)
            of_x, of_weight = winograd.gradients(*last, trained=trained)
            return of_x.permute(0, 3, 1, 2), of_weight, of_bias
        (D, *_), same = weight.shape, [1, 1]
        of_x, _, _ = torch.ops.aten.convolution_backward(
            gradient, x, weight, [D], same, same, same, False, [0, 0], 1, [True, False, False]
        )
        of_weight = _weight_gradient(x, gradient) if trained else None
        return of_x, of_weight, of_bias


def conv3x3(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolve x `(B, C, H, W)` with weights `(D, C, 3, 3)`; zero beyond the border."""
    few = x[:, 0].numel() < _MANY and not _by_winograd(x, weight)
    if few or x.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
        return F.conv2d(x, weight, bias, padding=1)
    if not torch.is_grad_enabled():
        return _convolve(x, weight, bias)
    y: Tensor = _Conv3x3.apply(x, weight, bias)  # type: ignore[no-untyped-call]
    return y
