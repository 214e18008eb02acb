"""Multi-scale structural similarity, by MONAI."""

from __future__ import annotations

import torch
from torch import Tensor

from harmbench.metrics.image import ImageMetric
from harmbench.statistics.value_range import ValueRange

# Weights of the scales, the finest first (Wang, Simoncelli and Bovik, Asilomar 2003, section 3.2);
# of five, since slices of 72 x 88 pixels can be halved twice only.
WEIGHTS = (0.0448, 0.2856, 0.3001)
WINDOW = 7  # side of the Gaussian window, in pixels; as of SSIM


def n_scales(height: int, width: int) -> int:
    """Return how many scales slices of a size have, at most three.

    Raises
    ------
    ValueError
        If the slices are smaller than the window.

    Examples
    --------
    >>> n_scales(72, 88), n_scales(20, 20)
    (3, 2)
    """
    # MONAI requires more than the window divided by the square of the number of halvings.
    fitting = [
        n for n in range(1, len(WEIGHTS) + 1) if min(height, width) // max(1, n - 1) ** 2 >= WINDOW
    ]
    if not fitting:
        raise ValueError(f"MS-SSIM needs slices of at least {WINDOW} x {WINDOW} pixels")
    return fitting[-1]


def ms_ssim(x: Tensor, y: Tensor, region: Tensor) -> Tensor:
    """Multi-scale structural similarity of slices, averaged over those with foreground.

    Parameters
    ----------
    x, y, region
        `(N, S, H, W)` in [0, 1]; zero outside of the region on both sides.

    Returns
    -------
    Tensor
        `(N,)` float64 in [0, 1]; NaN for a scan without foreground.
    """
    from monai.metrics.regression import compute_ms_ssim

    chosen = WEIGHTS[: n_scales(*x.shape[-2:])]
    weights = [weight / sum(chosen) for weight in chosen]
    values = []
    for image, reference, inside in zip(x, y, region, strict=True):
        slices = inside.flatten(1).any(dim=1)
        if not bool(slices.any()):
            values.append(x.new_full((), torch.nan, dtype=torch.float64))
            continue
        similarity = compute_ms_ssim(
            (image * inside)[slices][:, None].float(),
            (reference * inside)[slices][:, None].float(),
            spatial_dims=2,
            kernel_size=WINDOW,
            weights=weights,
        )
        values.append(similarity.double().mean())
    return torch.stack(values)


class MSSSIM(ImageMetric):
    """Multi-scale structural similarity; see `ms_ssim`."""

    name = "ms_ssim"
    summary = "multi-scale structural similarity of slices, at three scales"
    value_range = ValueRange(high=1.0)
    version = "1"
    compare = staticmethod(ms_ssim)
