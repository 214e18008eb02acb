"""Noise: how strong it is from place to place, and a draw of it."""

from __future__ import annotations

import torch
from torch import Tensor

from harmbench.cohorts.phantom.blur import blur
from harmbench.cohorts.phantom.lattice import Lattice
from harmbench.cohorts.phantom.pose import CENTRE

_WIDTH = 45.0  # mm: scale of the rise in the middle of the head
_CORRELATION = 1.0  # FWHM in mm of the interpolation that correlates the noise


def noise_level(places: Tensor, acceleration: float, removed: Tensor) -> Tensor:
    """Return the standard deviation of the noise relative to the centre without acceleration.

    Parallel imaging amplifies noise most in the middle of the head, by the g-factor
    (Pruessmann et al., MRM 1999;42:952). A correction of the receive sensitivity divides the
    noise as it divides the signal.

    Parameters
    ----------
    places
        `(3, D, H, W)` mm along z, x and y in the frame of the scanner.
    acceleration
        Maximum of the g-factor minus 1.
    removed
        `(D, H, W)`: logarithm of the sensitivity that was divided out.
    """
    squares = sum((place - centre) ** 2 for place, centre in zip(places, CENTRE, strict=True))
    return (1 + acceleration * torch.exp(-squares / (2 * _WIDTH**2))) * torch.exp(-removed)


def draw_noise(seed: int, lattice: Lattice) -> Tensor:
    """Draw complex noise of unit variance, correlated over about a voxel: `(2, D, H, W)`."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(2, *lattice.shape, generator=generator)
    for part in noise:
        kept = blur(part, (_CORRELATION,) * 3, lattice)
        part /= kept
    return noise
