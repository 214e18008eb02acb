"""Interface of intensity normalisations, and the functions that they share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from harmbench.data.prepare_options import MINMAX
from harmbench.preprocessing.nifti_read import Array
from harmbench.util.hashing import digest

Mask = npt.NDArray[np.bool_]
Standard = tuple[float, ...]
Normalize = Callable[[Array, Mask], Array]


class Normalization(ABC):
    """An intensity normalisation of the scans of a cohort.

    Attributes
    ----------
    name, summary
        Name on the command line, and a description in one line.
    version
        Increase it whenever the voxels of a normalised scan would change.
    learns
        Whether it needs a standard. The standard is learned from the training scans of the
        target domain only; otherwise it would show source scans to blind methods.
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
            `(S, H, W)`: the scan, float32 on any scale, zero outside the brain; and the mask
            of the brain, bool.
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

        `minmax` adds nothing.
        """
        if self.name == MINMAX:
            return ()
        return (digest("normalization", self.name, self.version, standard),)


def unscaled(image: Array, mask: Mask) -> Array:
    """Return the scan with its own intensities, masked: the first of two passes."""
    return np.where(mask, image, 0).astype(np.float32)


def window(image: Array, mask: Mask, low: float, high: float) -> Array:
    """Map [low, high] to [0, 1], clip, and set voxels outside the brain to zero."""
    span = high - low if high > low else 1.0
    scaled = np.clip((image - low) / span, 0, 1)
    return np.where(mask, scaled, 0).astype(np.float32)
