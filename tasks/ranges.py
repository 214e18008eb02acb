"""The range of intensities of shifted slices."""

from __future__ import annotations

from torch import Tensor

from harmbench import minmax


def back_to_range(shifted: Tensor, images: Tensor) -> Tensor:
    """Min-max scale slices `(B, H, W)`, and give them the range they had.

    That range is [0, 1] on slices that were min-max scaled, as the paper's are; on
    volumes scaled as a whole it keeps shift and reference comparable.
    """
    low = images.amin(dim=(-2, -1), keepdim=True)
    span = images.amax(dim=(-2, -1), keepdim=True) - low
    return low + span * minmax(shifted)
