"""The flow as the harmonising loop needs it: fixed parameters, no gradients, no densities."""

from __future__ import annotations

import torch
from nflows.nn.nets.resnet import ConvResidualBlock
from torch import Tensor, nn
from torch.nn import functional as F

from .convolution import conv3x3
from .flow import Flow
from .layers import (
    ActNorm,
    CouplingNet,
    LUConv1x1,
    SplineCoupling,
    rows_first,
    squeeze,
    unsqueeze,
)
from .spline import rational_quadratic_value


class _AffineLayer:
    """Activation norms and 1x1 convolutions in a row, as one matrix product.

    Multiplied out and inverted in float64: the matrices are small, and it is done once.
    """

    def __init__(self, channels: int, like: Tensor) -> None:
        self.A = torch.eye(channels, dtype=torch.float64, device=like.device)
        self.inverse, self.b = self.A, self.A.new_zeros(channels)

    def then(self, layer: ActNorm | LUConv1x1) -> None:
        """Append a layer."""
        if isinstance(layer, ActNorm):
            scale = layer.log_scale.double().exp()
            self.A, self.b = scale[:, None] * self.A, scale * self.b + layer.shift
            self.inverse = self.inverse / scale
        else:
            matrix = layer.matrix(torch.float64)
            self.A, self.b = matrix @ self.A, matrix @ self.b + layer.bias
            self.inverse = self.inverse @ layer.inverse_matrix()

    def to(self, dtype: torch.dtype) -> _AffineLayer:
        """Round to `dtype`, when nothing more comes."""
        self.offset = -(self.inverse @ self.b)[:, None].to(dtype)
        self.A, self.b = self.A.to(dtype), self.b[:, None].to(dtype)
        self.inverse = self.inverse.to(dtype)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Map `(C, B, H, W)` to the same shape."""
        return torch.addmm(self.b, self.A, x.flatten(1)).view(x.shape)

    def backward(self, y: Tensor) -> Tensor:
        """Undo `forward`."""
        return torch.addmm(self.offset, self.inverse, y.flatten(1)).view(y.shape)


def _copied(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a copy in `dtype`, even if the tensor has this type; filters are channels-last."""
    filters = tensor.dim() == 4
    layout = torch.channels_last if filters else torch.contiguous_format
    return tensor.to(dtype, copy=True, memory_format=layout)


class _Net:
    """A coupling network with its second batch norms merged into the previous convolutions."""

    def __init__(self, net: CouplingNet, features: int, dtype: torch.dtype) -> None:
        self.features = features
        first, last = net.initial_layer, net.final_layer
        self.first = [_copied(w, dtype) for w in (first.weight.flatten(1), first.bias)]
        self.position = None if net.position is None else _copied(net.position, dtype)
        rows = (rows_first(tensor, features) for tensor in (last.weight, last.bias))
        self.last = [_copied(w, dtype) for w in rows]
        self.blocks = [[_copied(w, dtype) for w in self._folded(block)] for block in net.blocks]

    @staticmethod
    def _folded(block: ConvResidualBlock) -> tuple[Tensor, ...]:
        """Return the first norm's scale and shift, and weight and bias of both convolutions."""

        def affine(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
            assert norm.running_mean is not None
            assert norm.running_var is not None
            scale = norm.weight.double() * (norm.running_var.double() + norm.eps).rsqrt()
            return scale, norm.bias - scale * norm.running_mean

        (scale, shift), (scale2, shift2) = (affine(norm) for norm in block.batch_norm_layers)
        first, second = block.conv_layers
        weight = scale2[:, None, None, None] * first.weight
        bias = scale2 * first.bias + shift2
        columns = scale[:, None, None], shift[:, None, None]
        return *columns, weight, bias, second.weight, second.bias

    def __call__(self, x: Tensor) -> Tensor:
        """Map channels `(C, B, H, W)` to parameters `(features, P, B * H * W)`."""
        weight, bias = self.first
        hidden = F.linear(x.flatten(1).t(), weight, bias)
        if self.position is not None:
            hidden = hidden.view(x.shape[1], *self.position.shape).add_(self.position)
        hidden = hidden.view(*x.shape[1:], -1).permute(0, 3, 1, 2)
        for scale, shift, weight, bias, weight2, bias2 in self.blocks:
            residual = torch.addcmul(shift, hidden, scale).relu_()
            residual = conv3x3(residual, weight, bias).relu_()
            hidden = conv3x3(residual, weight2, bias2).add_(hidden)
        flat = hidden.permute(0, 2, 3, 1).reshape(-1, hidden.shape[1])
        weight, bias = self.last
        parameters = torch.addmm(bias, weight, flat.t())
        return parameters.view(-1, self.features, len(flat)).transpose(0, 1)


class _Coupling:
    def __init__(self, layer: SplineCoupling, dtype: torch.dtype) -> None:
        self.changed = layer.num_transform_features
        self.net = _Net(layer.transform_net, self.changed, dtype)
        self.options = layer.spline_options

    def __call__(self, x: Tensor, *, inverse: bool) -> Tensor:
        """Map `(C, B, H, W)` to the same shape."""
        changed, unchanged = x[: self.changed], x[self.changed :]
        outputs = rational_quadratic_value(
            changed.flatten(1), self.net(unchanged), **self.options, inverse=inverse
        )
        return torch.cat((outputs.view(changed.shape), unchanged))


class FrozenFlow:
    """A copy of a flow for inference, with everything precomputed that does not change.

    Agrees with the flow's `encode` and `decode` to rounding. It does not change when the flow
    is trained further, so a new copy is built for each use, which takes milliseconds.
    Autocast has no effect on it.

    Parameters
    ----------
    flow
        Batch norms count as in eval mode.
    dtype
        Type of the computation: the flow's own, or float64.
    """

    def __init__(self, flow: Flow, dtype: torch.dtype = torch.float32) -> None:
        self.levels: list[tuple[list[tuple[_AffineLayer, _Coupling]], _AffineLayer]] = []
        with torch.no_grad():
            for level in flow.transform._transforms:
                self.levels.append(self._level(list(level._transforms)[1:], dtype))

    @staticmethod
    def _level(
        layers: list[ActNorm | LUConv1x1 | SplineCoupling], dtype: torch.dtype
    ) -> tuple[list[tuple[_AffineLayer, _Coupling]], _AffineLayer]:
        bias = layers[-1].bias
        steps, affine = [], _AffineLayer(len(bias), bias)
        for layer in layers:
            if isinstance(layer, SplineCoupling):
                steps.append((affine.to(dtype), _Coupling(layer, dtype)))
                affine = _AffineLayer(len(bias), bias)
            else:
                affine.then(layer)
        return steps, affine.to(dtype)

    def encode(self, v: Tensor) -> list[Tensor]:
        """Map dequantised slices `(B, H, W)` to their latents, `(C, B, H, W)` by level."""
        with torch.no_grad(), torch.autocast(v.device.type, enabled=False):
            z, x = [], v[None]
            for number, (steps, last) in enumerate(self.levels, start=1):
                x = squeeze(x)
                for affine, coupling in steps:
                    x = coupling(affine.forward(x), inverse=False)
                x = last.forward(x)
                if number < len(self.levels):
                    final, x = x.chunk(2)
                    z.append(final)
            return [*z, x]

    def decode(self, z: list[Tensor]) -> Tensor:
        """Map latents to slices `(B, H, W)`."""
        x = z[-1]
        with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
            for number in reversed(range(len(self.levels))):
                steps, last = self.levels[number]
                if number + 1 < len(self.levels):
                    x = torch.cat((z[number], x))
                x = last.backward(x)
                for affine, coupling in reversed(steps):
                    x = affine.backward(coupling(x, inverse=True))
                x = unsqueeze(x)
            return x[0]
