"""The layers of the flow: nflows' own, but faster.

All are nflows transforms, with nflows' parameters under nflows' names, and agree with
nflows' layers to rounding; a state dict fits either. Inside, an activation is a matrix
`(C, N)` of channels by all pixels of all images, so that a 1x1 convolution is one matrix
product and everything a spline needs lies contiguously along N. To the outside it is a
`(B, C, H, W)` view of that matrix, which costs no copy between layers.

Under `torch.autocast` only the coupling networks run in reduced precision. The splines and the
1x1 convolutions, which determine invertibility and density, do not.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from nflows import transforms
from nflows.nn.nets import ConvResidualNet
from nflows.utils import create_mid_split_binary_mask
from torch import Tensor, nn
from torch.nn import functional as F

from .convolution import preactivated_conv3x3
from .spline import rational_quadratic


def as_matrix(x: Tensor) -> Tensor:
    """View images `(B, C, H, W)` as a matrix `(C, B * H * W)`; a copy if laid out otherwise."""
    return x.transpose(0, 1).reshape(x.shape[1], -1)


def as_images(x: Tensor, like: Tensor) -> Tensor:
    """View a matrix `(C, B * H * W)` as images `(B, C, H, W)` with B, H and W of `like`."""
    B, _, H, W = like.shape
    return x.view(-1, B, H, W).transpose(0, 1)


def rows_first(tensor: Tensor, features: int) -> Tensor:
    """Reorder the last layer's `(features * P, ...)` to a matrix `(P * features, ...)`."""
    return tensor.reshape(features, len(tensor) // features, -1).transpose(0, 1).flatten(0, 1)


def squeeze(x: Tensor) -> Tensor:
    """Trade every 2x2 pixels for four channels: `(C, B, H, W)` to `(4 C, B, H / 2, W / 2)`."""
    C, B, H, W = x.shape
    pixels = x.reshape(C, B, H // 2, 2, W // 2, 2)
    return pixels.permute(0, 3, 5, 1, 2, 4).reshape(4 * C, B, H // 2, W // 2)


def unsqueeze(x: Tensor) -> Tensor:
    """Undo `squeeze`."""
    C, B, H, W = x.shape
    pixels = x.reshape(C // 4, 2, 2, B, H, W)
    return pixels.permute(0, 3, 4, 1, 5, 2).reshape(C // 4, B, 2 * H, 2 * W)


class Squeeze(transforms.SqueezeTransform):  # type: ignore[misc]
    """Trade every 2x2 pixels for four channels (Dinh et al. 2017)."""

    def forward(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Map `(B, C, H, W)` to `(B, 4 C, H / 2, W / 2)`, and log |det| = 0 `(B,)`."""
        return squeeze(inputs.transpose(0, 1)).transpose(0, 1), inputs.new_zeros(len(inputs))

    def inverse(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Map `(B, 4 C, H, W)` to `(B, C, 2 H, 2 W)`, and log |det| = 0 `(B,)`."""
        return unsqueeze(inputs.transpose(0, 1)).transpose(0, 1), inputs.new_zeros(len(inputs))


class ActNorm(transforms.ActNorm):  # type: ignore[misc]
    """Activation normalisation (Kingma & Dhariwal 2018) that initialises itself once.

    That it did is part of the state dict, so that a reloaded flow in train mode does not
    initialise itself again; nflows replaces the flag's storage, which leaves it on the CPU.
    """

    initialized: Tensor

    def __init__(self, features: int) -> None:
        super().__init__(features)
        self._is_initialized = False  # `initialized`, once read: a GPU waits at every reading

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        self._is_initialized = False

    @torch.no_grad()
    def _initialize(self, inputs: Tensor) -> None:
        flat = as_matrix(inputs)
        std = flat.std(dim=1).clamp_min(1e-6)  # a channel may be constant in one batch
        self.log_scale.copy_(-std.log())
        self.shift.copy_(-flat.mean(dim=1) / std)
        self.initialized.fill_(True)

    def forward(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Map x `(B, C, H, W)` to y of the same shape and log |det| `(B,)`."""
        if self.training and not self._is_initialized:
            self._is_initialized = bool(self.initialized)
            if not self._is_initialized:
                self._initialize(inputs)
        B, _, H, W = inputs.shape
        y = torch.addcmul(self.shift[:, None], as_matrix(inputs), self.scale[:, None])
        return as_images(y, inputs), (H * W * self.log_scale.sum()).expand(B)


class LUConv1x1(transforms.OneByOneConvolution):  # type: ignore[misc]
    """Invertible 1x1 convolution y = L U P x + b with a fixed permutation P.

    L is lower triangular with a unit diagonal, U upper triangular with a positive one, so
    that log |det| is H W sum(log diag U). Kingma & Dhariwal 2018, section 3.2.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        for name, indices in (("lower", self.lower_indices), ("upper", self.upper_indices)):
            positions = torch.from_numpy(indices[0] * channels + indices[1])
            self.register_buffer(f"{name}_positions", positions, persistent=False)
        self.register_buffer("eye", torch.eye(channels), persistent=False)

    def _factors(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return L and U, each `(C, C)`."""
        C = self.features
        empty = self.bias.new_zeros(C * C, dtype=dtype)
        L = empty.scatter(0, self.lower_positions, self.lower_entries.to(dtype)).view(C, C)
        U = empty.scatter(0, self.upper_positions, self.upper_entries.to(dtype)).view(C, C)
        diagonal = F.softplus(self.unconstrained_upper_diag.to(dtype)) + self.eps
        return L + self.eye, U + torch.diag(diagonal)

    def matrix(self, dtype: torch.dtype) -> Tensor:
        """Return L U P `(C, C)`."""
        L, U = self._factors(dtype)
        product: Tensor = (L @ U)[:, self.permutation._inverse_permutation]
        return product

    def inverse_matrix(self) -> Tensor:
        """Return the inverse of L U P in float64: it is small, so that this costs nothing."""
        L, U = self._factors(torch.float64)
        inverse_L = torch.linalg.solve_triangular(
            L, self.eye.to(L), upper=False, unitriangular=True
        )
        inverse_LU = torch.linalg.solve_triangular(U, inverse_L, upper=True)
        inverse: Tensor = inverse_LU[self.permutation._inverse_permutation]
        return inverse

    def _logabsdet(self, x: Tensor) -> Tensor:
        B, _, H, W = x.shape
        logabsdet: Tensor = H * W * self.upper_diag.log().sum()
        return logabsdet.expand(B)

    def forward(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Map x `(B, C, H, W)` to y of the same shape and log |det| `(B,)`."""
        with torch.autocast(inputs.device.type, enabled=False):
            y = torch.addmm(self.bias[:, None], self.matrix(inputs.dtype), as_matrix(inputs))
            return as_images(y, inputs), self._logabsdet(inputs)

    def inverse(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Map y `(B, C, H, W)` to x of the same shape and log |det| `(B,)` of the inverse."""
        with torch.autocast(inputs.device.type, enabled=False):
            inverse = self.inverse_matrix().to(inputs.dtype)
            x = inverse @ (as_matrix(inputs) - self.bias[:, None])
            return as_images(x, inputs), -self._logabsdet(inputs)


class CouplingNet(ConvResidualNet):  # type: ignore[misc]
    """nflows' pre-activation residual network, laid out for the CPU's convolutions.

    Its 1x1 convolutions are matrix products, and its hidden activations are channels-last.

    Parameters
    ----------
    pixels
        Pixels of the images that the network is for: each has a learned offset of its
        own in the first hidden layer, which convolutions cannot know; 0 for no offsets, as in
        nflows.
    """

    position: Tensor | None

    def __init__(self, *args: Any, pixels: int = 0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offsets = nn.Parameter(torch.zeros(pixels, self.hidden_channels)) if pixels else None
        self.register_parameter("position", offsets)

    def parameters_of(self, x: Tensor, like: Tensor, features: int) -> Tensor:
        """Map channels `(C, N)` to parameters `(features, P, N)`, laid out as `(P, features, N)`.

        `like` gives B, H and W of N.
        """
        B, _, H, W = like.shape
        first, last = self.initial_layer, self.final_layer
        hidden: Tensor = F.linear(x.t(), first.weight.flatten(1), first.bias)
        if self.position is not None:
            hidden = hidden.view(B, H * W, -1) + self.position
        hidden = hidden.view(B, H, W, -1).permute(0, 3, 1, 2)
        for block in self.blocks:
            pairs = zip(block.batch_norm_layers, block.conv_layers, strict=True)
            residual = hidden
            for normalise, convolve in pairs:
                residual = preactivated_conv3x3(residual, normalise, convolve.weight, convolve.bias)
            hidden = hidden + residual
        flat = hidden.permute(0, 2, 3, 1).reshape(-1, self.hidden_channels)
        weight, bias = (rows_first(tensor, features) for tensor in (last.weight, last.bias))
        parameters = torch.addmm(bias, weight, flat.t())
        return parameters.view(-1, features, parameters.shape[1]).transpose(0, 1)


class SplineCoupling(transforms.PiecewiseRationalQuadraticCouplingTransform):  # type: ignore[misc]
    """Rational-quadratic spline coupling (Durkan et al. 2019) of one half of the channels.

    Parameters
    ----------
    channels
        C; the first half, rounded up, is transformed given the other.
    hidden, blocks
        Width and residual blocks of the coupling network.
    bins, tail_bound
        K and B; outside of [-B, B] the transform is the identity.
    pixels
        See `CouplingNet`.
    """

    def __init__(
        self,
        channels: int,
        *,
        hidden: int,
        blocks: int,
        bins: int,
        tail_bound: float,
        pixels: int = 0,
    ) -> None:
        def net(features: int, parameters: int) -> CouplingNet:
            return CouplingNet(
                features,
                parameters,
                hidden_channels=hidden,
                num_blocks=blocks,
                use_batch_norm=True,
                pixels=pixels,
            )

        super().__init__(
            create_mid_split_binary_mask(channels),
            net,
            num_bins=bins,
            tails="linear",
            tail_bound=tail_bound,
        )

    @property
    def spline_options(self) -> dict[str, Any]:
        """Arguments of `rational_quadratic` in addition to inputs and parameters."""
        # nflows divides the softmaxes' logits by this, for a gentle start.
        scale = 1 / math.sqrt(self.transform_net.hidden_channels)
        return {"bins": self.num_bins, "bound": self.tail_bound, "scale": scale}

    def _couple(self, inputs: Tensor, *, inverse: bool) -> tuple[Tensor, Tensor]:
        x = as_matrix(inputs)
        changed, unchanged = x[: self.num_transform_features], x[self.num_transform_features :]
        parameters = self.transform_net.parameters_of(unchanged, inputs, len(changed))
        outputs, logabsdet = rational_quadratic(
            changed, parameters.to(inputs.dtype), **self.spline_options, inverse=inverse
        )
        per_image = logabsdet.view(len(changed), len(inputs), -1).sum(dim=(0, 2))
        return as_images(torch.cat((outputs, unchanged)), inputs), per_image

    def forward(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Map x `(B, C, H, W)` to y of the same shape and log |det| `(B,)`."""
        return self._couple(inputs, inverse=False)

    def inverse(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Map y `(B, C, H, W)` to x of the same shape and log |det| `(B,)` of the inverse."""
        return self._couple(inputs, inverse=True)
