"""Metrics of a scan's intensities, which need no paired truth.

They compare a scan with the target's training population, so they also apply to tasks without
pairs; on tasks with pairs they can be compared with the paired metrics.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from harmbench.contracts.metric import Metric
from harmbench.contracts.purpose import Purpose
from harmbench.data.scan_set import ScanSet
from harmbench.data.scans import Scans
from harmbench.statistics.value_range import NOT_NEGATIVE, UNIT

GREY, WHITE = 2, 3  # values of the tissue labels
_LEVELS = 4096  # points at which quantile functions are compared
_BINS = 65536  # of the population's histogram: finer than the 12 bits of a scanner


def per_population(function: Callable[[ScanSet], Tensor]) -> Callable[[ScanSet], Tensor]:
    """Cache a function of a scan set, by the digest of its content."""
    cache: dict[str, Tensor] = {}

    @functools.wraps(function)
    def cached(scans: ScanSet) -> Tensor:
        key = scans.digest
        if key not in cache:
            cache[key] = function(scans)
        return cache[key]

    return cached


def _levels() -> Tensor:
    return (torch.arange(_LEVELS, dtype=torch.float64) + 0.5) / _LEVELS


def quantile_function(values: Tensor) -> Tensor:
    """Return the quantiles of n values at the 4096 midpoints (i + 0.5) / 4096, in float64.

    The k-th smallest value is at level (k - 0.5) / n; linear interpolation between them.
    """
    ordered = values.double().sort().values
    position = (_levels().to(values.device) * len(ordered) - 0.5).clamp(0, len(ordered) - 1)
    below = position.floor().long()
    above = (below + 1).clamp(max=len(ordered) - 1)
    return torch.lerp(ordered[below], ordered[above], position - below)


@per_population
def population_quantiles(scans: ScanSet) -> Tensor:
    """Return the quantile function of all foreground intensities of a population together.

    One pass over the scans, one at a time, into a histogram of 65536 bins, so that memory
    is constant; the quantiles are accurate to half a bin, 8e-6.

    Returns
    -------
    Tensor
        `(4096,)` float64 in [0, 1]; NaN if there is no foreground at all.
    """
    counts = torch.zeros(_BINS, dtype=torch.int64)
    for batch in scans.batches():
        indices = (batch.images[batch.masks] * _BINS).long().clamp(0, _BINS - 1)
        counts += torch.bincount(indices, minlength=_BINS)
    cumulative = counts.cumsum(0).double()
    total = cumulative[-1]
    if total == 0:
        return torch.full((_LEVELS,), torch.nan, dtype=torch.float64)
    ranks = _levels() * total
    bins = torch.searchsorted(cumulative, ranks).clamp(max=_BINS - 1)
    return (bins + 0.5) / _BINS


def contrast(images: Tensor, labels: Tensor) -> Tensor:
    r"""Contrast-to-noise ratio of white and grey matter of N scans.

    .. math::
        |\mu_{WM} - \mu_{GM}| / \sqrt{\sigma^2_{WM} + \sigma^2_{GM}}

    Parameters
    ----------
    images, labels
        `(N, S, H, W)` in [0, 1], and uint8 with 2 grey and 3 white matter.

    Returns
    -------
    Tensor
        `(N,)` float64; NaN for a scan that lacks one of the tissues, 0 for one with equal
        means, also where the variances are 0.
    """
    flat = images.double().flatten(1)
    means, variances = [], []
    for tissue in (GREY, WHITE):
        region = labels.flatten(1) == tissue
        count = region.sum(dim=1)
        mean = torch.where(region, flat, 0).sum(dim=1) / count
        means.append(mean)
        squares = torch.where(region, (flat - mean[:, None]).square(), 0)
        variances.append(squares.sum(dim=1) / count)
    gap = (means[1] - means[0]).abs()
    return torch.where(gap == 0, 0.0, gap / (variances[0] + variances[1]).sqrt())


@per_population
def population_contrast(scans: ScanSet) -> Tensor:
    """Return the mean contrast-to-noise ratio of a population; NaN if it is not labelled.

    Returns
    -------
    Tensor
        A float64 scalar.
    """
    if not scans.labelled:
        return torch.tensor(torch.nan, dtype=torch.float64)
    values = [
        contrast(batch.images, batch.labels)
        for batch in scans.batches()
        if batch.labels is not None
    ]
    return torch.cat(values).nanmean()


class Wasserstein(Metric):
    r"""1-Wasserstein distance of a scan's foreground intensities to the target population's.

    .. math::
        W_1 = \int_0^1 |Q_{scan}(p) - Q_{target}(p)| \, dp

    In the units of the intensities, which are in [0, 1]. Scans of the target do not reach 0
    either, since subjects differ.
    """

    name = "wasserstein"
    summary = "distance of the foreground's intensities to the target population's"
    value_range = UNIT
    higher_is_better = False
    purpose = Purpose.DIAGNOSTIC

    def applies(self, harmonized: Scans, references: Scans | None, target: ScanSet) -> bool:
        """Return True: only the target population is needed."""
        return True

    def measure(self, harmonized: Scans, references: Scans | None, target: ScanSet) -> Tensor:
        """Measure every scan: `(N,)` float64, NaN for a scan without foreground."""
        population = population_quantiles(target).to(harmonized.images.device)
        distances = []
        for image, mask in zip(harmonized.images, harmonized.masks, strict=True):
            values = image[mask]
            if len(values):
                distances.append((quantile_function(values) - population).abs().mean())
            else:
                distances.append(population.new_tensor(torch.nan))
        return torch.stack(distances)


class GMWMContrast(Metric):
    """Contrast-to-noise ratio of grey and white matter; see `contrast`."""

    name = "gm_wm_contrast"
    summary = "contrast-to-noise ratio of grey and white matter, where labels exist"
    purpose = Purpose.DIAGNOSTIC

    def applies(self, harmonized: Scans, references: Scans | None, target: ScanSet) -> bool:
        """Return whether the scans are labelled."""
        return harmonized.labels is not None

    def measure(self, harmonized: Scans, references: Scans | None, target: ScanSet) -> Tensor:
        """Measure every scan: `(N,)` float64, NaN for a scan that lacks one of the tissues.

        Raises
        ------
        ValueError
            If the scans are not labelled.
        """
        if harmonized.labels is None:
            raise ValueError(f"{self.name} needs labels")
        return contrast(harmonized.images, harmonized.labels)


class GMWMContrastError(GMWMContrast):
    """Absolute difference of the contrast-to-noise ratio to the target population's mean."""

    name = "gm_wm_contrast_error"
    summary = "absolute difference of the grey-white contrast to the target population's mean"
    value_range = NOT_NEGATIVE
    higher_is_better = False

    def applies(self, harmonized: Scans, references: Scans | None, target: ScanSet) -> bool:
        """Return whether the scans and the population are labelled."""
        return harmonized.labels is not None and target.labelled

    def measure(self, harmonized: Scans, references: Scans | None, target: ScanSet) -> Tensor:
        """Measure every scan: `(N,)` float64, NaN if the target is not labelled either."""
        values = super().measure(harmonized, references, target)
        return (values - population_contrast(target).to(values.device)).abs()
