"""Noise: how strong it is from place to place, and a draw of it."""

from __future__ import annotations

import torch
from torch import Tensor

from harmbench.cohorts.phantom.lattice import Axes, sample
from harmbench.cohorts.phantom.pose import CENTRE

_WIDTH = 45.0  # mm: scale of the rise in the middle of the head


def noise_level(points: Tensor, acceleration: float, removed: Tensor) -> Tensor:
    """Return the standard deviation of the noise relative to the centre without acceleration.

    Parallel imaging amplifies noise most in the middle of the head, by the g-factor
    (Pruessmann et al., MRM 1999;42:952). A correction of the receive sensitivity divides the
    noise as it divides the signal.

    Parameters
    ----------
    points
        `(3, D, H, W)` mm along z, x and y in the frame of the scanner.
    acceleration
        Maximum of the g-factor minus 1.
    removed
        `(D, H, W)`: logarithm of the sensitivity that was divided out.
    """
    squares = sum(
        (coordinate - centre) ** 2 for coordinate, centre in zip(points, CENTRE, strict=True)
    )
    return (1 + acceleration * torch.exp(-squares / (2 * _WIDTH**2))) * torch.exp(-removed)


def draw_noise(seed: int, points: Tensor, voxel: tuple[float, float, float]) -> Tensor:
    """Draw complex noise that is white on acquired voxels, and interpolate it linearly.

    This is what registration does to the noise of a scan: it becomes smooth, and weaker
    between the acquired voxels than on them.

    Parameters
    ----------
    seed
        Of the draw.
    points
        `(3, D, H, W)` mm along z, x and y in the frame of the scanner: where it is wanted.
    voxel
        Acquired voxel size in mm along z, x and y.

    Returns
    -------
    Tensor
        `(2, D, H, W)`: real and imaginary part, of unit variance on the acquired voxels.
    """
    axes: list[Tensor] = []
    for coordinate, size in zip(points, voxel, strict=True):
        low, high = coordinate.aminmax()
        first, last = int(torch.floor(low / size)), int(torch.ceil(high / size)) + 1
        axes.append(size * torch.arange(first, last + 1))
    z, x, y = axes
    acquired: Axes = (z, x, y)
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(2, len(z), len(x), len(y), generator=generator)
    return sample(noise, acquired, points)
