"""A baseline without any training data: N4, then the peak of white matter at a fixed value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from harmbench import (
    Method,
    Needs,
    Scans,
    UserError,
    at_inference,
    white_matter_mode,
)

from ._n4 import bias_field_of


@dataclass(frozen=True)
class N4WhiteStripeConfig:
    """Settings.

    Attributes
    ----------
    white_matter
        Intensity in (0, 1] that the peak of white matter is mapped to.
    resolution
        Voxel size in mm at which N4 estimates the field, in whole multiples of the grid's
        spacing.

    Raises
    ------
    UserError
        For a value outside of its range.
    """

    # Slices that are scaled to [0, 1] by minimum and maximum have their peak at 0.80, 0.82 and
    # 0.91, the means over training scans of three real scanners. No score entered the choice.
    white_matter: float = at_inference(0.85)
    # A 1 mm scan on every fourth voxel, as N4 is commonly used.
    resolution: float = at_inference(4.0)

    def __post_init__(self) -> None:
        if not 0 < self.white_matter <= 1:
            raise UserError(f"white_matter must be in (0, 1], but is {self.white_matter:g}")
        if not self.resolution > 0:
            raise UserError(f"resolution must be above 0 mm, but is {self.resolution:g}")


PRESETS = {
    "paper": N4WhiteStripeConfig(),
    "quick": N4WhiteStripeConfig(),
    # The scans of `harmbench check` have so few voxels that none would be left out.
    "tiny": N4WhiteStripeConfig(resolution=20.0),
}


class N4WhiteStripe(Method):
    """Divides each scan by its bias field, and scales its white matter to a fixed intensity.

    Both steps use the scan alone: N4 (Tustison et al., IEEE Trans Med Imaging
    2010;29:1310-1320) on the volume of its slices, and the mode of white matter of Shinohara
    et al. (NeuroImage: Clinical 2014;6:9-19). WhiteStripe also subtracts the mode and
    divides by the spread around it; here one factor is applied, because zero is physical in
    a magnitude image. The method sees nothing of the target, so it cannot reproduce the
    target's own bias field, contrast or scale.
    """

    name = "n4-whitestripe"
    summary = "removes the bias field by N4, and scales white matter to a fixed intensity"
    needs = Needs.NOTHING
    reference = "https://doi.org/10.1016/j.nicl.2014.08.008"
    Config = N4WhiteStripeConfig
    presets = PRESETS

    config: N4WhiteStripeConfig

    def forward(self, scans: Scans) -> Scans:
        """Correct N scans on the CPU, one by one; values above 1 are clipped.

        Raises
        ------
        BadScanError
            If N4 fails.
        """
        images = scans.images.clone()
        for image, mask in zip(images, scans.masks, strict=True):
            if mask.any():
                image[mask] = self._corrected(image.cpu(), mask.cpu()).to(image.device)
        return scans.with_images(images)

    def _corrected(self, image: Tensor, mask: Tensor) -> Tensor:
        """Return the corrected foreground, `(n,)` in [0, 1], of a scan `(S, H, W)`."""
        field = bias_field_of(image, mask, self.grid, self.config.resolution)
        values = (image[mask] / field[mask]).numpy()
        scaled = values * (self.config.white_matter / white_matter_mode(values))
        return torch.from_numpy(np.clip(scaled, 0, 1))
