"""The range of intensities of shifted scans."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from harmbench import ScanSet, minmax

# A normalisation of each slice by its own extremes; all others scale the whole volume.
SLICEWISE = "minmax"
PERCENTILE = 99.5  # of the brain: the intensity that is kept on volumes

# A shift of slices before its range is restored: images, masks, scan and index to intensities.
Unscaled = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


class RestoredRange(ABC):
    """Gives shifted scans the range that they had, as normalising them again would."""

    name: str

    @abstractmethod
    def __call__(self, shifted: Tensor, images: Tensor, scan: Tensor, unscaled: Unscaled) -> Tensor:
        """Scale shifted slices.

        Parameters
        ----------
        shifted, images
            `(B, H, W)`: after and before the shift; not negative.
        scan
            `(B,)`: which scan each slice belongs to.
        unscaled
            The shift, to be applied to all slices of a scan.

        Returns
        -------
        Tensor
            `(B, H, W)` in [0, 1].
        """


class SliceRange(RestoredRange):
    """Of slices that were min-max scaled one by one, as the paper's."""

    name = "slices"

    def __call__(self, shifted: Tensor, images: Tensor, scan: Tensor, unscaled: Unscaled) -> Tensor:
        """Scale every slice to the range it had."""
        low = images.amin(dim=(-2, -1), keepdim=True)
        span = images.amax(dim=(-2, -1), keepdim=True) - low
        return low + span * minmax(shifted)


@dataclass(frozen=True, eq=False)
class VolumeRange(RestoredRange):
    """Of volumes that were scaled as a whole: slices keep their relative brightness.

    Attributes
    ----------
    scans
        The scans before the shift; read once per scan, when its first slice is shifted.
    """

    scans: ScanSet
    name = "volumes"
    _factors: dict[int, float] = field(default_factory=dict, repr=False)

    def __call__(self, shifted: Tensor, images: Tensor, scan: Tensor, unscaled: Unscaled) -> Tensor:
        """Scale every scan so that the brain's 99.5th percentile stays; clip above 1."""
        factors = torch.tensor([self._factor(number, unscaled) for number in scan.tolist()])
        return (shifted * factors[:, None, None].to(shifted)).clamp(0, 1)

    def _factor(self, number: int, unscaled: Unscaled) -> float:
        if number not in self._factors:
            whole = self.scans.load([number])
            images, masks = whole.images[0], whole.masks[0]
            index = torch.arange(len(images))
            shifted = unscaled(images, masks, torch.full_like(index, number), index)
            before, after = (
                float(np.percentile(volume[masks].numpy(), PERCENTILE)) if masks.any() else 0.0
                for volume in (images, shifted)
            )
            self._factors[number] = before / after if after > 0 else 1.0
        return self._factors[number]


def restored_range(scans: ScanSet, normalization: str) -> RestoredRange:
    """Return the range to restore on scans of a normalisation."""
    return SliceRange() if normalization == SLICEWISE else VolumeRange(scans)
