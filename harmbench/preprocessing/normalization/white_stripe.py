"""Normalisation `whitestripe`."""

from __future__ import annotations

import numpy as np

from harmbench.preprocessing.nifti_read import Array
from harmbench.preprocessing.normalization.base import Mask, Normalization, Standard, window


class WhiteStripe(Normalization):
    """Standardise by normal-appearing white matter.

    Source: Shinohara et al., NeuroImage: Clinical 2014;6:9-19.

    The white stripe is the set of voxels within 0.05 in quantile of white matter's mode,
    which is the brightest peak of the smoothed histogram. Values are the distance from the
    mode in standard deviations of the stripe. The window [-60, 20] becomes [0, 1], clipped.
    """

    name = "whitestripe"
    summary = "the volume by its white matter's mode and spread (Shinohara 2014)"

    _LOW, _HIGH = -60.0, 20.0
    _WIDTH = 0.05

    def __call__(self, image: Array, mask: Mask, standard: Standard = ()) -> Array:
        """Normalise."""
        mode, deviation = self.stripe(image[mask])
        return window(image, mask, mode + self._LOW * deviation, mode + self._HIGH * deviation)

    def stripe(self, values: Array) -> tuple[float, float]:
        """Return the mode of white matter and the stripe's standard deviation.

        Parameters
        ----------
        values
            `(n,)`: the brain's voxels.
        """
        mode = white_matter_mode(values)
        quantile = float((values < mode).mean())
        ends = [max(quantile - self._WIDTH, 0), min(quantile + self._WIDTH, 1)]
        low, high = np.quantile(values, ends)
        stripe = values[(values >= low) & (values <= high)].astype(np.float64)
        return mode, float(stripe.std())


def white_matter_mode(values: Array) -> float:
    """Return the mode of white matter in a T1w brain: the brightest peak of its histogram.

    Peaks lower than a quarter of the highest come from vessels and skull remnants and are
    ignored. Values above the 99.5th percentile are ignored too.

    Parameters
    ----------
    values
        `(n,)`: the brain's voxels.
    """
    from scipy import ndimage

    low, high = np.percentile(values, [0.5, 99.5])
    counts, edges = np.histogram(values, bins=400, range=(low, high))
    smooth = ndimage.gaussian_filter1d(counts.astype(np.float64), sigma=6, mode="constant")
    inner = smooth[1:-1]
    peaks = np.flatnonzero((inner > smooth[:-2]) & (inner >= smooth[2:])) + 1
    peaks = peaks[smooth[peaks] >= smooth.max() / 4]
    peak = int(peaks[-1]) if len(peaks) else int(smooth.argmax())
    return float((edges[peak] + edges[peak + 1]) / 2)
