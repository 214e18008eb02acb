"""Normalisation `percentile`."""

from __future__ import annotations

import numpy as np

from harmbench.preprocessing.nifti_read import Array
from harmbench.preprocessing.normalization.base import Mask, Normalization, Standard, window


class Percentile(Normalization):
    """Scale the volume so that the brain's 99.5th percentile becomes 1.

    The zero of a magnitude image is physical, so only the scale is free. Values
    above 1 are clipped.
    """

    name = "percentile"
    summary = "scale the volume so that the brain's 99.5th percentile becomes 1"

    def __call__(self, image: Array, mask: Mask, standard: Standard = ()) -> Array:
        """Normalise."""
        return window(image, mask, 0.0, float(np.percentile(image[mask], 99.5)))
