"""Step 5 of preprocessing: intensity normalisations.

No library is used: those that exist (intensity-normalization, torchio) work on one file or
with global state, and differ in details that change voxels. Here a learned standard comes
from the target's training scans only, enters the scans' keys, and stays the same to the bit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch

from harmbench.data.prepare_options import DEFAULT_NORMALIZATION
from harmbench.data.scans import minmax
from harmbench.errors import UserError
from harmbench.preprocessing.nifti_read import Array
from harmbench.util.hashing import digest

Mask = npt.NDArray[np.bool_]

Standard = tuple[float, ...]
Normalize = Callable[[Array, Mask], Array]

_MIN_DIFFERENCE = 1e-12  # of landmarks that coincide, to avoid division by zero


class Normalization(ABC):
    """An intensity normalisation of the scans of a cohort.

    Attributes
    ----------
    name, summary
        Name on the command line, and a description in one line.
    version
        Raise it whenever the same scan would get other voxels.
    learns
        Whether it needs a standard. That is learned from the training scans of the target
        domain only, because otherwise blind methods would see the source through it.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    version: ClassVar[int] = 1
    learns: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, image: Array, mask: Mask, standard: Standard = ()) -> Array:
        """Normalise a scan on the grid.

        Parameters
        ----------
        image, mask
            `(S, H, W)`: float32 on any scale, zero outside the brain; and the brain, bool.
        standard
            The learned standard; empty if nothing is learned.

        Returns
        -------
        numpy.ndarray
            `(S, H, W)` float32 in [0, 1], zero outside the mask.
        """

    @property
    def first_pass(self) -> Normalize:
        """Normalisation of the first pass, before the standard is known."""
        return unscaled if self.learns else self

    def landmarks(self, image: Array, mask: Mask) -> Standard:
        """Return one scan's input to the standard; empty if nothing is learned."""
        return ()

    def standard(self, landmarks: Sequence[Standard]) -> Standard:
        """Learn the standard from the landmarks of the target's training scans."""
        return ()

    def key(self, standard: Standard) -> tuple[str, ...]:
        """Return the values to hash into a scan's key.

        The default adds nothing, so that results from before there was a choice stay valid.
        """
        if self.name == DEFAULT_NORMALIZATION:
            return ()
        return (digest("normalization", self.name, self.version, standard),)


class MinMax(Normalization):
    """Each slice by its own minimum and maximum (supplement, section 1), without clipping."""

    name = "minmax"
    summary = "each slice by its minimum and maximum, as in the paper"

    def __call__(self, image: Array, mask: Mask, standard: Standard = ()) -> Array:
        """Normalise; the background is part of a slice, so the minimum is zero."""
        scaled: Array = minmax(torch.from_numpy(image)).numpy() * mask
        return scaled


class Percentile(Normalization):
    """The volume by one factor: zero stays, and the brain's 99.5th percentile becomes one.

    The zero of a magnitude image is physical, so only the scale is free. Clipped above one.
    """

    name = "percentile"
    summary = "the volume by one factor, which brings the brain's 99.5th percentile to 1"

    def __call__(self, image: Array, mask: Mask, standard: Standard = ()) -> Array:
        """Normalise."""
        return _window(image, mask, 0.0, float(np.percentile(image[mask], 99.5)))


class ZScore(Normalization):
    """By the brain's mean and standard deviation; the window [-3, 3] becomes [0, 1], clipped."""

    name = "zscore"
    summary = "the volume by mean and standard deviation of the brain; -3 to 3 becomes 0 to 1"

    def __call__(self, image: Array, mask: Mask, standard: Standard = ()) -> Array:
        """Normalise."""
        values = image[mask].astype(np.float64)
        mean, deviation = float(values.mean()), float(values.std())
        return _window(image, mask, mean - 3 * deviation, mean + 3 * deviation)


class WhiteStripe(Normalization):
    """By normal-appearing white matter (Shinohara et al., NeuroImage: Clinical 2014;6:9-19).

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
        return _window(image, mask, mode + self._LOW * deviation, mode + self._HIGH * deviation)

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


NORMALIZATIONS: Mapping[str, Normalization] = {
    cls.name: cls() for cls in (MinMax, Percentile, ZScore, WhiteStripe, Nyul)
}


def normalization(name: str) -> Normalization:
    """Return the normalisation of a name.

    Raises
    ------
    UserError
        If the name is unknown.
    """
    if name not in NORMALIZATIONS:
        raise UserError.unknown("normalisation", name, NORMALIZATIONS)
    return NORMALIZATIONS[name]


def unscaled(image: Array, mask: Mask) -> Array:
    """Keep the scan's own intensities: the first of two passes."""
    return np.where(mask, image, 0).astype(np.float32)


def white_matter_mode(values: Array) -> float:
    """Return the mode of white matter in a T1w brain: the brightest peak of its histogram.

    Peaks lower than a quarter of the highest come from vessels and remains of the skull and
    are ignored, and so are values above the 99.5th percentile.

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


def _window(image: Array, mask: Mask, low: float, high: float) -> Array:
    """Map [low, high] to [0, 1], clip to that range, and keep zero outside the brain."""
    span = high - low if high > low else 1.0
    scaled = np.clip((image - low) / span, 0, 1)
    return np.where(mask, scaled, 0).astype(np.float32)
