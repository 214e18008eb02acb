"""Normalisation `nyul`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harmbench.preprocessing.nifti_read import Array
from harmbench.preprocessing.normalization.base import Mask, Normalization, Standard

_MIN_DIFFERENCE = 1e-12  # between landmarks, to avoid division by zero


class Nyul(Normalization):
    """Piecewise linear histogram standardisation (Nyul & Udupa, Magn Reson Med 1999;42:1072).

    Landmarks are the 1st, 10th, 20th, ... 90th and 99th percentile of the brain (Nyul,
    Udupa & Zhang, IEEE Trans Med Imaging 2000;19:143). The standard scale is the mean of
    the landmarks over the target's training scans, after a linear map of each scan's first
    and last landmark to 0.05 and 0.95. Outside the landmarks the outer pieces are
    extrapolated and clipped at 0 and 1.
    """

    name = "nyul"
    summary = "the histogram's landmarks to those of the target's training scans (Nyul 2000)"
    learns = True

    _PERCENTILES = (1, *range(10, 100, 10), 99)
    _FIRST, _LAST = 0.05, 0.95

    def __call__(self, image: Array, mask: Mask, standard: Standard = ()) -> Array:
        """Normalise."""
        landmarks = np.array(self.landmarks(image, mask))
        targets = np.array(standard)
        values = image[mask].astype(np.float64)
        mapped = np.interp(values, landmarks, targets)
        slopes = np.diff(targets) / np.maximum(np.diff(landmarks), _MIN_DIFFERENCE)
        for end, outside in ((0, values < landmarks[0]), (-1, values > landmarks[-1])):
            mapped[outside] = targets[end] + slopes[end] * (values[outside] - landmarks[end])
        scaled = np.zeros_like(image)
        scaled[mask] = np.clip(mapped, 0, 1)
        return scaled

    def landmarks(self, image: Array, mask: Mask) -> Standard:
        """Return the percentiles of the brain."""
        return tuple(float(x) for x in np.percentile(image[mask], self._PERCENTILES))

    def standard(self, landmarks: Sequence[Standard]) -> Standard:
        """Return the mean of the landmarks after a linear map of each scan to the same ends."""
        rows = np.array(landmarks)
        first, last = rows[:, :1], rows[:, -1:]
        relative = (rows - first) / np.maximum(last - first, _MIN_DIFFERENCE)
        mean = self._FIRST + (self._LAST - self._FIRST) * relative.mean(axis=0)
        return tuple(float(x) for x in mean)
