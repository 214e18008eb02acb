"""Image metrics against a reference.

A metric without a suffix is one number per scan, over the voxels that are foreground in the
reference and in the source. The variants `_slices` are the definitions of the papers: one number
per whole slice, zeros of the background included. All are computed in float64, and all are NaN
where there is nothing to compare: two empty slices agree trivially, and their infinite PSNR would
dominate a subject's mean.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor

from harmbench.contracts.metric import Metric
from harmbench.contracts.purpose import Purpose
from harmbench.data.scan_set import ScanSet
from harmbench.data.scans import Scans
from harmbench.statistics.value_range import UNIT, ValueRange

WINDOW = 7  # side of SSIM's uniform window, in pixels
_K1, _K2 = 0.01, 0.03


def mean_within(values: Tensor, region: Tensor) -> Tensor:
    """Average scans `(N, S, H, W)` over the voxels of a bool region: `(N,)`; NaN without any."""
    total = torch.where(region, values, 0).sum(dim=(1, 2, 3))
    return total / region.sum(dim=(1, 2, 3))


def psnr(x: Tensor, y: Tensor, region: Tensor) -> Tensor:
    """Peak signal-to-noise ratio `10 log10(1 / mean((x - y)^2))` in dB.

    Parameters
    ----------
    x, y
        `(N, S, H, W)` in [0, 1].
    region
        `(N, S, H, W)` bool: the voxels that count. One mean squared error is taken over all of
        them, so a single exact slice does not make the value infinite.

    Returns
    -------
    Tensor
        `(N,)`; infinite where the scans are equal.
    """
    return -10 * torch.log10(mean_within((x - y).square(), region))


def mae(x: Tensor, y: Tensor, region: Tensor) -> Tensor:
    """Mean absolute error `mean(|x - y|)`; arguments as of `psnr`."""
    return mean_within((x - y).abs(), region)


def ncc(x: Tensor, y: Tensor, region: Tensor) -> Tensor:
    """Normalised cross-correlation: Pearson's r of harmonised `x` and reference `y`.

    Returns
    -------
    Tensor
        `(N,)` in [-1, 1]. NaN where the reference is constant, since no image can
        correlate with it; 0 where only the harmonised image is constant.
    """
    dx = x - mean_within(x, region)[:, None, None, None]
    dy = y - mean_within(y, region)[:, None, None, None]
    covariance = mean_within(dx * dy, region)
    spread = mean_within(dx.square(), region).sqrt() * mean_within(dy.square(), region).sqrt()
    r = (covariance / spread).clamp(-1, 1)
    r = torch.where(_constant(x, region), 0.0, r)
    return torch.where(_constant(y, region), torch.nan, r)


def _constant(x: Tensor, region: Tensor) -> Tensor:
    """Return where `x` is constant; exact, unlike a test on a variance with rounding errors."""
    high = x.masked_fill(~region, -torch.inf).amax(dim=(1, 2, 3))
    low = x.masked_fill(~region, torch.inf).amin(dim=(1, 2, 3))
    return high <= low


def ssim_map(x: Tensor, y: Tensor) -> Tensor:
    r"""Structural similarity at every pixel whose window lies within the image.

    .. math::
        \frac{(2 \mu_x \mu_y + C_1)(2 \sigma_{xy} + C_2)}
             {(\mu_x^2 + \mu_y^2 + C_1)(\sigma_x^2 + \sigma_y^2 + C_2)},
        \quad C_1 = 0.01^2, \; C_2 = 0.03^2,

    with the means and the sample (co)variances of a uniform 7 x 7 window: Wang et al.,
    doi:10.1109/TIP.2003.819861, with the defaults of
    `skimage.metrics.structural_similarity` for a data range of 1. Float32 is not enough:
    the variances are small differences of large numbers.

    Parameters
    ----------
    x, y
        `(..., H, W)` float64, at least 7 x 7.

    Returns
    -------
    Tensor
        `(..., H - 6, W - 6)`.

    Raises
    ------
    ValueError
        If the images are smaller than the window.
    """
    if min(x.shape[-2:]) < WINDOW:
        raise ValueError(f"SSIM needs slices of at least {WINDOW} x {WINDOW} pixels")
    products = torch.stack((x, y, x * x, y * y, x * y))
    moments = products.reshape(5, -1, *x.shape[-2:])
    # A square window of ones is the product of a column and a row.
    moments = F.avg_pool2d(F.avg_pool2d(moments, (WINDOW, 1), 1), (1, WINDOW), 1)
    mx, my, mxx, myy, mxy = moments.reshape(5, *x.shape[:-2], *moments.shape[-2:])
    unbiased = WINDOW**2 / (WINDOW**2 - 1)
    vx, vy, vxy = (unbiased * v for v in (mxx - mx * mx, myy - my * my, mxy - mx * my))
    c1, c2 = _K1**2, _K2**2
    similarity: Tensor = ((2 * mx * my + c1) * (2 * vxy + c2)) / (
        (mx * mx + my * my + c1) * (vx + vy + c2)
    )
    return similarity


def ssim(x: Tensor, y: Tensor, region: Tensor) -> Tensor:
    """Mean of the SSIM map over a region; pixels nearer than 3 to the border do not count."""
    edge = WINDOW // 2
    return mean_within(ssim_map(x, y), region[..., edge:-edge, edge:-edge])


class ImageMetric(Metric):
    """A comparison of every scan with its reference, over the foreground of both."""

    version = "2"

    @staticmethod
    @abstractmethod
    def compare(x: Tensor, y: Tensor, region: Tensor, /) -> Tensor:
        """Compare harmonised and reference scans, both `(N, S, H, W)` float64, in a region."""

    def applies(self, harmonized: Scans, references: Scans | None, target: ScanSet) -> bool:
        """Return whether there are references."""
        return references is not None

    def measure(self, harmonized: Scans, references: Scans | None, target: ScanSet) -> Tensor:
        """Measure every scan.

        Parameters
        ----------
        harmonized
            With the masks of the source scans, which harmbench restores after a method has run:
            a method does not choose the voxels that it is scored on.
        references
            The truth. Voxels outside either mask do not count: what brain extraction cut from
            one of the two scans no method can restore.
        target
            Not used.

        Returns
        -------
        Tensor
            `(N,)` float64; NaN where source and reference have no common foreground.

        Raises
        ------
        ValueError
            If there are no references.
        """
        references = self.required(references)
        region = references.masks & harmonized.masks
        return self.compare(harmonized.images.double(), references.images.double(), region)

    def required(self, references: Scans | None) -> Scans:
        """Return the references; see `measure`."""
        if references is None:
            raise ValueError(f"{self.name} needs references")
        return references


class SliceMetric(ImageMetric):
    """A comparison of every whole slice with its reference, as in the papers' tables."""

    purpose = Purpose.PUBLISHED
    version = "1"

    def measure(self, harmonized: Scans, references: Scans | None, target: ScanSet) -> Tensor:
        """Measure every slice.

        Returns
        -------
        Tensor
            `(N, S)` float64; NaN where the reference has no foreground.

        Raises
        ------
        ValueError
            If there are no references.
        """
        references = self.required(references)
        N, S = references.masks.shape[:2]
        region = references.masks.flatten(2).any(dim=-1)[..., None, None]
        # Each slice is a scan of one slice.
        x, y, whole = (
            tensor.flatten(0, 1)[:, None]
            for tensor in (
                harmonized.images.double(),
                references.images.double(),
                region.expand_as(references.masks),
            )
        )
        return self.compare(x, y, whole).reshape(N, S)


class PSNR(ImageMetric):
    """Peak signal-to-noise ratio over the foreground of a scan; see `psnr`."""

    name = "psnr"
    summary = "peak signal-to-noise ratio over the scan's foreground, one mean squared error"
    unit = "dB"
    purpose = Purpose.RANKING
    compare = staticmethod(psnr)


class PSNRSlices(SliceMetric):
    """Mean over slices of the peak signal-to-noise ratio of whole slices; see `psnr`."""

    name = "psnr_slices"
    summary = "peak signal-to-noise ratio of whole slices, averaged in dB, as in papers"
    unit = "dB"
    compare = staticmethod(psnr)


class SSIM(ImageMetric):
    """Structural similarity over the foreground of a scan; see `ssim_map`."""

    name = "ssim"
    summary = "mean of the structural similarity map over the scan's foreground"
    value_range = ValueRange(-1.0, 1.0)
    compare = staticmethod(ssim)


class SSIMSlices(SliceMetric):
    """Structural similarity of whole slices; see `ssim_map`."""

    name = "ssim_slices"
    summary = "structural similarity of whole slices, as in papers and scikit-image"
    value_range = ValueRange(-1.0, 1.0)
    compare = staticmethod(ssim)


class MAE(ImageMetric):
    """Mean absolute error over the foreground of a scan; see `mae`."""

    name = "mae"
    summary = "mean absolute error over the scan's foreground"
    value_range = UNIT
    higher_is_better = False
    compare = staticmethod(mae)


class NCC(ImageMetric):
    """Normalised cross-correlation over the foreground of a scan; see `ncc`."""

    name = "ncc"
    summary = "normalised cross-correlation over the scan's foreground"
    value_range = ValueRange(-1.0, 1.0)
    compare = staticmethod(ncc)
