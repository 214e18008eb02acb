"""The harmoniser: a U-Net from slices to slices."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from harmbench_methods.unet import UNet


class Harmonizer(nn.Module):
    """Predicts a change to add to the foreground of a slice.

    The U-Net is that of the method `unet`: MONAI's blocks with batch normalisation.

    Parameters
    ----------
    levels
        Number of times that it halves the resolution.
    width
        Channels at full resolution; doubled with every halving.
    """

    def __init__(self, levels: int, width: int) -> None:
        super().__init__()
        self.unet = UNet(levels, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map slices `(B, H, W)` in [0, 1] to slices of any range; zeros do not change."""
        change: Tensor = self.unet(x[:, None])[:, 0]
        return torch.where(x > 0, x + change, x)
