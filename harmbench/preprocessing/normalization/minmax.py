"""Normalisation `minmax`, as in the paper."""

from __future__ import annotations

import torch

from harmbench.data.scans import minmax
from harmbench.preprocessing.nifti_read import Array
from harmbench.preprocessing.normalization.base import Mask, Normalization, Standard


class MinMax(Normalization):
    """Each slice by its own minimum and maximum (supplement, section 1), without clipping."""

    name = "minmax"
    summary = "each slice by its minimum and maximum, as in the paper"

    def __call__(self, image: Array, mask: Mask, standard: Standard = ()) -> Array:
        """Normalise; the background belongs to the slice, so the minimum is zero."""
        scaled: Array = minmax(torch.from_numpy(image)).numpy() * mask
        return scaled
