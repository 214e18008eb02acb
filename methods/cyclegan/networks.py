"""Networks of CycleGAN: generator and discriminator."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

# [S 2.3] and [Zhu 2017]: see `config.py`.

SMALLEST = 24  # rows and columns: smaller slices vanish in the five convolutions of a discriminator


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with instance normalisation and ReLU, added to their input.

    No ReLU after the second [Zhu 2017]: otherwise the sum could only grow.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect"),
            nn.InstanceNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect"),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map features `(B, C, H, W)` to features of the same shape."""
        changed: Tensor = self.layers(x)
        return x + changed


class Generator(nn.Module):
    """Two convolutions, residual blocks, three convolutions [S 2.3].

    Zhu et al. have three convolutions on either side of the blocks: one 7 x 7 at full
    resolution, and two 3 x 3 of stride 2 with 128 and 256 channels; then the mirror image.
    [S 2.3] counts two before the blocks and three after. The three after are two for
    upsampling and one for the image. So the two before are those of stride 2, and the one at
    full resolution is missing. The last convolution is followed by tanh instead of instance
    normalisation and ReLU [Zhu 2017]: normalised images would all have the same mean and
    variance.

    Parameters
    ----------
    width
        Layers have 2, 4, ..., 4, 2 and 1 times this number of channels; the last has one.
    blocks
        Number of residual blocks.
    residual
        Add the input to the output, without tanh.
    """

    def __init__(self, width: int, blocks: int, residual: bool) -> None:
        super().__init__()
        self.residual = residual
        self.layers = nn.Sequential(
            nn.Conv2d(1, 2 * width, 3, stride=2, padding=1),
            nn.InstanceNorm2d(2 * width),
            nn.ReLU(),
            nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1),
            nn.InstanceNorm2d(4 * width),
            nn.ReLU(),
            *(ResidualBlock(4 * width) for _ in range(blocks)),
            nn.ConvTranspose2d(4 * width, 2 * width, 3, stride=2, padding=1, output_padding=1),
            nn.InstanceNorm2d(2 * width),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * width, width, 3, stride=2, padding=1, output_padding=1),
            nn.InstanceNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, 1, 7, padding=3, padding_mode="reflect"),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map slices `(B, 1, H, W)` to slices of the same shape; black is -1 and white is 1."""
        H, W = x.shape[-2:]
        # Pad sizes that are no multiple of 4 by repeating the edge, and crop afterwards.
        padded = F.pad(x, (0, -W % 4, 0, -H % 4), mode="replicate")
        output: Tensor = self.layers(padded)[..., :H, :W]
        return x + output if self.residual else output.tanh()


class Discriminator(nn.Sequential):
    """Rates how real overlapping patches of 70 x 70 pixels look: `(B, 1, h, w)`.

    4 x 4 convolutions with 1, 2, 4 and 8 times `width` channels, three of stride 2 and one of
    stride 1, and a last one with one channel [Zhu 2017]. [S 2.3] counts five convolutions,
    four leaky ReLUs (slope 0.2 [Zhu 2017]) and four instance normalisations; Zhu et al.
    omit the first normalisation.
    """

    def __init__(self, width: int) -> None:
        layers: list[nn.Module] = []
        channels = 1
        for out_channels, stride in ((width, 2), (2 * width, 2), (4 * width, 2), (8 * width, 1)):
            layers += [
                nn.Conv2d(channels, out_channels, 4, stride=stride, padding=1),
                nn.InstanceNorm2d(out_channels),
                nn.LeakyReLU(0.2),
            ]
            channels = out_channels
        super().__init__(*layers, nn.Conv2d(channels, 1, 4, padding=1))


def initialized(network: nn.Module) -> nn.Module:
    """Draw the weights of all convolutions from N(0, 0.02^2), without biases [Zhu 2017]."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, 0.02)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
    return network
