"""Normalisation `zscore`."""

from __future__ import annotations

import numpy as np

from harmbench.preprocessing.nifti_read import Array
from harmbench.preprocessing.normalization.base import Mask, Normalization, Standard, window


class ZScore(Normalization):
    """Standardise by the brain's mean and deviation; map [-3, 3] to [0, 1] and clip."""

    name = "zscore"
    summary = "the volume by mean and standard deviation of the brain; -3 to 3 becomes 0 to 1"

    def __call__(self, image: Array, mask: Mask, standard: Standard = ()) -> Array:
        """Normalise."""
        values = image[mask].astype(np.float64)
        mean, deviation = float(values.mean()), float(values.std())
        return window(image, mask, mean - 3 * deviation, mean + 3 * deviation)
