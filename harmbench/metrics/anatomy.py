"""Whether the anatomy survives: structure of the harmonised scan against its source and truth.

A method may have a good PSNR and blur, or a realistic look and invented structure. Gradients are
central differences within slices, per pixel, inside the foreground of the scan. Structure is
measured by normalised gradients (Haber and Modersitzki, MICCAI 2006, LNCS 4191:726), which depend
on edges and hardly on contrast.
"""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor

from harmbench.contracts.metric import Metric
from harmbench.contracts.purpose import Purpose
from harmbench.data.scan_set import ScanSet
from harmbench.data.scans import Scans
from harmbench.metrics.image import ImageMetric, mean_within, ncc
from harmbench.statistics.value_range import NOT_NEGATIVE, UNIT, ValueRange

_BINS = 64  # of each axis of a joint histogram
_INTENSITY_STEP = 0.02  # per pixel: gradients below are noise, of the scale of a rescan's error


def gradients(images: Tensor, region: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradient within slices, and where it is defined.

    Parameters
    ----------
    images, region
        `(N, S, H, W)` float64, and bool.

    Returns
    -------
    rows, columns
        `(N, S, H, W)`: central differences per pixel; zero where not defined.
    inside
        `(N, S, H, W)` bool: voxels whose four neighbours are in the region.
    """
    padded = F.pad(images, (1, 1, 1, 1))
    mask = F.pad(region, (1, 1, 1, 1))
    inside = (
        region
        & mask[..., :-2, 1:-1]
        & mask[..., 2:, 1:-1]
        & mask[..., 1:-1, :-2]
        & mask[..., 1:-1, 2:]
    )
    rows = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    columns = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    return torch.where(inside, rows, 0), torch.where(inside, columns, 0), inside


def magnitude(images: Tensor, region: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradient's magnitude `(N, S, H, W)` per pixel, and where it is defined."""
    rows, columns, inside = gradients(images, region)
    return torch.hypot(rows, columns), inside


def edges(images: Tensor, region: Tensor) -> tuple[Tensor, Tensor]:
    """Return normalised gradient magnitudes in [0, 1), and where they are defined."""
    size, inside = magnitude(images, region)
    return size / torch.hypot(size, torch.tensor(_INTENSITY_STEP, dtype=size.dtype)), inside


def nmi(x: Tensor, y: Tensor, region: Tensor) -> Tensor:
    r"""Normalised mutual information (Studholme et al., Pattern Recognit 1999;32:71).

    .. math::
        \frac{H(X) + H(Y)}{H(X, Y)}

    of the joint histogram of 64 by 64 bins, inside the region: 1 for independent intensities,
    2 for two that determine each other. It does not depend on a monotone change of contrast,
    except by the binning.

    Parameters
    ----------
    x, y, region
        `(N, S, H, W)`, in [0, 1].

    Returns
    -------
    Tensor
        `(N,)` in [1, 2]; NaN for an empty region.
    """
    from skimage.metrics import normalized_mutual_information

    values = [
        float(normalized_mutual_information(a[inside].numpy(), b[inside].numpy(), bins=_BINS))
        if bool(inside.any())
        else math.nan
        for a, b, inside in zip(x.cpu(), y.cpu(), region.cpu(), strict=True)
    ]
    return torch.tensor(values, dtype=torch.float64)


def sharpness(x: Tensor, y: Tensor, region: Tensor) -> Tensor:
    r"""Sharpness relative to the reference.

    .. math::
        \sqrt{\frac{\overline{|\nabla_1 x|^2} / \overline{|\nabla_2 x|^2}}
                   {\overline{|\nabla_1 y|^2} / \overline{|\nabla_2 y|^2}}}

    with differences :math:`\nabla_1` over one pixel and :math:`\nabla_2` over two. A change of
    scale cancels; blur lowers the finer differences more.

    Returns
    -------
    Tensor
        `(N,)`: 1 is as sharp as the reference, less is blurred, more is sharpened or noisy.
    """
    return (_fineness(x, region) / _fineness(y, region)).sqrt()


def _fineness(images: Tensor, region: Tensor) -> Tensor:
    """Return the energy of differences over one pixel, relative to those over two: `(N,)`."""

    def energy(step: int) -> Tensor:
        total = images.new_zeros(len(images))
        for axis in (-2, -1):
            count = images.shape[axis] - step
            ahead, behind = (images.narrow(axis, start, count) for start in (step, 0))
            both = region.narrow(axis, step, count) & region.narrow(axis, 0, count)
            total += mean_within((ahead - behind).square(), both)
        return total

    return energy(1) / energy(2)


class NMI(ImageMetric):
    """Normalised mutual information with the reference; see `nmi`."""

    name = "nmi"
    summary = "normalised mutual information with the reference, in the scan's foreground"
    value_range = ValueRange(1.0, 2.0)
    version = "1"
    compare = staticmethod(nmi)


class Sharpness(ImageMetric):
    """Sharpness relative to the reference; see `sharpness`."""

    name = "sharpness"
    summary = "sharpness relative to the reference: 1 is equal, less is blurred"
    value_range = NOT_NEGATIVE
    purpose = Purpose.DIAGNOSTIC
    version = "1"
    compare = staticmethod(sharpness)


class SourceMetric(Metric):
    """A comparison of every harmonised scan with its own source, inside the brain."""

    purpose = Purpose.DIAGNOSTIC

    @staticmethod
    @abstractmethod
    def compare(x: Tensor, source: Tensor, region: Tensor, /) -> Tensor:
        """Compare harmonised and source scans, both `(N, S, H, W)` float64, in a region."""

    def applies(self, harmonized: Scans, references: Scans | None, target: ScanSet) -> bool:
        """Return whether the source is known."""
        return harmonized.source is not None

    def measure(self, harmonized: Scans, references: Scans | None, target: ScanSet) -> Tensor:
        """Measure every scan: `(N,)` float64."""
        assert harmonized.source is not None
        images = harmonized.images.double()
        return self.compare(images, harmonized.source.double(), harmonized.masks)


class NMISource(SourceMetric):
    """Normalised mutual information with the source; see `nmi`."""

    name = "nmi_source"
    summary = "normalised mutual information with the scan's own source: is its anatomy kept?"
    value_range = ValueRange(1.0, 2.0)
    compare = staticmethod(nmi)


class GradientCorrelationSource(SourceMetric):
    """Correlation of gradient magnitudes with those of the source."""

    name = "gradient_correlation_source"
    summary = "correlation of gradient magnitudes with the scan's own source"
    value_range = ValueRange(-1.0, 1.0)

    @staticmethod
    def compare(x: Tensor, source: Tensor, region: Tensor, /) -> Tensor:
        """Return the correlation: `(N,)` in [-1, 1]."""
        (first, inside), (second, _) = magnitude(x, region), magnitude(source, region)
        return ncc(first, second, inside)


class Hallucination(Metric):
    """Structure in the harmonised scan that is neither in its source nor in the truth.

    The mean over the brain of what normalised gradients exceed the larger of the source's and the
    truth's by; normalised gradients are in [0, 1).
    """

    name = "hallucination"
    summary = "edges of the harmonised scan that are neither in its source nor in the truth"
    value_range = UNIT
    higher_is_better = False
    purpose = Purpose.DIAGNOSTIC

    def applies(self, harmonized: Scans, references: Scans | None, target: ScanSet) -> bool:
        """Return whether source and truth are known."""
        return harmonized.source is not None and references is not None

    def measure(self, harmonized: Scans, references: Scans | None, target: ScanSet) -> Tensor:
        """Measure every scan: `(N,)` float64 in [0, 1)."""
        assert harmonized.source is not None
        assert references is not None
        region = harmonized.masks & references.masks
        output, inside = edges(harmonized.images.double(), region)
        source, _ = edges(harmonized.source.double(), region)
        truth, _ = edges(references.images.double(), region)
        # Edges move by fractions of a pixel in any registration: compare with the neighbourhood.
        known = F.max_pool2d(torch.maximum(source, truth), 3, stride=1, padding=1)
        return mean_within((output - known).clamp(min=0), inside)
