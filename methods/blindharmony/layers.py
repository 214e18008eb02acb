"""The two layers of the flow that nflows has slow: spline couplings and 1x1 convolutions.

Both are nflows transforms, with nflows' parameters under nflows' names, and agree with
nflows' layers to rounding; a state dict fits either. Inside, an activation is a matrix
`(C, N)` of channels by all pixels of all images, so that a 1x1 convolution is one matrix
product and everything a spline needs lies contiguously along N. To the outside it is a
`(B, C, H, W)` view of that matrix, which costs no copy between layers.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from nflows import transforms
from nflows.nn.nets import ConvResidualNet
from nflows.utils import create_mid_split_binary_mask
from torch import Tensor
from torch.nn import functional as F

from .spline import rational_quadratic


def as_matrix(x: Tensor) -> Tensor:
    """View images `(B, C, H, W)` as a matrix `(C, B * H * W)`; a copy if laid out otherwise."""
    return x.transpose(0, 1).reshape(x.shape[1], -1)


def as_images(x: Tensor, like: Tensor) -> Tensor:
    """View a matrix `(C, B * H * W)` as images `(B, C, H, W)` with B, H and W of `like`."""
    B, _, H, W = like.shape
    return x.view(-1, B, H, W).transpose(0, 1)


class ActNorm(transforms.ActNorm):  # type: ignore[misc]
    """Activation normalisation (Kingma & Dhariwal 2018) that initialises itself once.

    That it did is part of the state dict, so that a reloaded flow in train mode does not
    initialise itself again; nflows replaces the flag's storage, which leaves it on the CPU.
    """

    initialized: Tensor

    @torch.no_grad()
    def _initialize(self, inputs: Tensor) -> None:
        flat = as_matrix(inputs)
        std = flat.std(dim=1).clamp_min(1e-6)  # a channel may be constant in one batch
        self.log_scale.copy_(-std.log())
        self.shift.copy_(-flat.mean(dim=1) / std)
        self.initialized.fill_(True)


class LUConv1x1(transforms.OneByOneConvolution):  # type: ignore[misc]
    """Invertible 1x1 convolution y = L U P x + b with a fixed permutation P.

    L is lower triangular with a unit diagonal, U upper triangular with a positive one, so
    that log |det| is H W sum(log diag U). Kingma & Dhariwal 2018, section 3.2.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        for name, indices in (("lower", self.lower_indices), ("upper", self.upper_indices)):
            places = torch.from_numpy(indices[0] * channels + indices[1])
            self.register_buffer(f"{name}_places", places, persistent=False)

    def _factors(self) -> tuple[Tensor, Tensor]:
        """Return L and U, each `(C, C)`."""
        C = self.features
        empty = self.bias.new_zeros(C * C)
        L = empty.scatter(0, self.lower_places, self.lower_entries).view(C, C)
        U = empty.scatter(0, self.upper_places, self.upper_entries).view(C, C)
        return L + torch.eye(C).to(L), U + torch.diag(self.upper_diag)

    def _logabsdet(self, x: Tensor) -> Tensor:
        B, _, H, W = x.shape
        logabsdet: Tensor = H * W * self.upper_diag.log().sum()
        return logabsdet.expand(B)

    def forward(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map x `(B, C, H, W)` to y of the same shape and log |det| `(B,)`."""
        L, U = self._factors()
        LUP = (L @ U)[:, self.permutation._inverse_permutation]
        y = torch.addmm(self.bias[:, None], LUP, as_matrix(inputs))
        return as_images(y, inputs), self._logabsdet(inputs)

    def inverse(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map y `(B, C, H, W)` to x of the same shape and log |det| `(B,)` of the inverse."""
        # The matrix is small: inverting it in double precision costs nothing, and the
        # product with all pixels is then as accurate as the forward one.
        L, U = (factor.double() for factor in self._factors())
        eye = torch.eye(self.features).to(L)
        inverse_L = torch.linalg.solve_triangular(L, eye, upper=False, unitriangular=True)
        inverse_LU = torch.linalg.solve_triangular(U, inverse_L, upper=True)
        inverse = inverse_LU[self.permutation._inverse_permutation].to(inputs.dtype)
        x = inverse @ (as_matrix(inputs) - self.bias[:, None])
        return as_images(x, inputs), -self._logabsdet(inputs)


class CouplingNet(ConvResidualNet):  # type: ignore[misc]
    """nflows' pre-activation residual network, laid out for the CPU's convolutions.

    Its 1x1 convolutions are matrix products, and its hidden activations are channels-last.
    """

    def parameters_of(self, x: Tensor, like: Tensor) -> Tensor:
        """Map channels `(C, N)` to parameters `(P, N)`; `like` gives B, H and W of N."""
        B, _, H, W = like.shape
        first, last = self.initial_layer, self.final_layer
        hidden: Tensor = F.linear(x.t(), first.weight.flatten(1), first.bias)
        hidden = hidden.view(B, H, W, -1).permute(0, 3, 1, 2)
        for block in self.blocks:
            pairs = zip(block.batch_norm_layers, block.conv_layers, strict=True)
            residual = hidden
            for normalise, convolve in pairs:
                residual = convolve(F.relu(normalise(residual), inplace=True))
            hidden = hidden + residual
        flat = hidden.permute(0, 2, 3, 1).reshape(-1, self.hidden_channels)
        parameters: Tensor = torch.addmm(last.bias[:, None], last.weight.flatten(1), flat.t())
        return parameters


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
    """

    def __init__(
        self, channels: int, *, hidden: int, blocks: int, bins: int, tail_bound: float
    ) -> None:
        def net(features: int, parameters: int) -> CouplingNet:
            return CouplingNet(
                features,
                parameters,
                hidden_channels=hidden,
                num_blocks=blocks,
                use_batch_norm=True,
            )

        super().__init__(
            create_mid_split_binary_mask(channels),
            net,
            num_bins=bins,
            tails="linear",
            tail_bound=tail_bound,
        )

    def _couple(self, inputs: Tensor, *, inverse: bool) -> tuple[Tensor, Tensor]:
        x = as_matrix(inputs)
        changed, kept = x[: self.num_transform_features], x[self.num_transform_features :]
        parameters = self.transform_net.parameters_of(kept, inputs)
        outputs, logabsdet = rational_quadratic(
            changed,
            parameters.view(len(changed), -1, changed.shape[1]),
            bins=self.num_bins,
            bound=self.tail_bound,
            # nflows divides the softmaxes' logits by this, for a gentle start.
            scale=1 / math.sqrt(self.transform_net.hidden_channels),
            inverse=inverse,
        )
        per_image = logabsdet.view(len(changed), len(inputs), -1).sum(dim=(0, 2))
        return as_images(torch.cat((outputs, kept)), inputs), per_image

    def forward(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Map x `(B, C, H, W)` to y of the same shape and log |det| `(B,)`."""
        return self._couple(inputs, inverse=False)

    def inverse(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Map y `(B, C, H, W)` to x of the same shape and log |det| `(B,)` of the inverse."""
        return self._couple(inputs, inverse=True)
