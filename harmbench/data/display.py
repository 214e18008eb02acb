"""Orientation of slices for display."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.float32]


def upright(image: Image) -> Image:
    """Turn a slice `(H, W)` so that it is shown with the front of the head up."""
    return np.rot90(image)
