"""Volumes and intensities of the tissues of a scan, which an instrument measures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harmbench import Grid, Instrument, ScanKey, Scans, ScanSet

from .enlarged_ventricles import ventricle_box
from .tissue_instrument import TISSUES, TissueInstrument

TISSUE_SEGMENTER = "tissue segmenter"  # name of the instrument within a task
FEATURES = (
    *(f"volume of {tissue}" for tissue in TISSUES),
    "volume of the ventricles",
    *(f"intensity of {tissue}" for tissue in TISSUES),
    "contrast of gm and wm",
)

Array = npt.NDArray[np.float64]


def tissue_segmenter(instrument: Instrument) -> TissueInstrument:
    """Return the instrument as the class that a task declares."""
    assert isinstance(instrument, TissueInstrument)
    return instrument


def features(segmenter: TissueInstrument, scans: Scans, grid: Grid) -> Array:
    """Return the `FEATURES` of N scans: `(N, 8)`."""
    return features_of(segmenter.probabilities(scans), scans, grid)


def features_of(tissues: Tensor, scans: Scans, grid: Grid) -> Array:
    """Return the `FEATURES` of N scans, given the probabilities of the `TISSUES`: `(N, 8)`.

    Volumes are shares of the volume of the brain: scans are registered to a template, so their
    brains have about equal size. Intensities are means weighted by the probability of a tissue.
    """
    tissues = tissues.double()
    images = scans.images.double()[:, None]
    box = ventricle_box(grid)
    brain = scans.masks.double().sum(dim=(1, 2, 3)).clamp(min=1)
    volumes = tissues.sum(dim=(2, 3, 4))
    fluid = (tissues[:, 0] * box).sum(dim=(1, 2, 3))
    means = (tissues * images).sum(dim=(2, 3, 4)) / volumes.clamp(min=1e-6)
    columns = [
        *(volumes / brain[:, None]).unbind(1),
        fluid / brain,
        *means.unbind(1),
        means[:, 2] - means[:, 1],
    ]
    return np.stack([column.numpy() for column in columns], axis=1)


@dataclass(frozen=True, eq=False)
class MeasuredTissues:
    """What the instrument measures on one scan.

    Attributes
    ----------
    features
        The `FEATURES`, `(8,)`.
    volumes
        Of the `TISSUES` that it finds, in ml, `(3,)`.
    """

    features: Array
    volumes: Array


# By network and scan: all methods and tasks are compared with the same scans of the target.
_KNOWN: dict[tuple[str, Grid, ScanKey], MeasuredTissues] = {}


def measured_tissues(segmenter: TissueInstrument, scans: ScanSet) -> list[MeasuredTissues]:
    """Measure each scan of a collection, by one pass; once in a process, unless it is shifted."""
    weights, measured = segmenter.digest, []
    for place, scan in enumerate(scans.scans):
        key = (weights, scans.grid, scan)
        one = None if scans.is_shifted else _KNOWN.get(key)
        if one is None:
            loaded = scans.load([place])
            segmented, tissues = segmenter.segmented(loaded)
            assert segmented.predicted is not None
            one = MeasuredTissues(
                features=features_of(tissues, loaded, scans.grid)[0],
                volumes=volumes_in(segmented.predicted[0], scans.grid),
            )
            if not scans.is_shifted:
                _KNOWN[key] = one
        measured.append(one)
    return measured


def volumes_in(labels: Tensor, grid: Grid) -> Array:
    """Return the volumes of the `TISSUES` in labels `(S, H, W)`, in ml: `(3,)`."""
    millilitres = float(np.prod(grid.spacing)) / 1000
    counts = torch.bincount(labels.flatten().long(), minlength=4)[list(TISSUES.values())]
    volumes: Array = counts.double().numpy() * millilitres
    return volumes


def features_of_all(segmenter: TissueInstrument, scans: ScanSet) -> Array:
    """Return the `FEATURES` of each scan of a collection: `(N, 8)`."""
    return np.array([one.features for one in measured_tissues(segmenter, scans)])


def volumes_of_all(segmenter: TissueInstrument, scans: ScanSet) -> Array:
    """Return the volumes of the `TISSUES` in each scan of a collection, in ml: `(N, 3)`."""
    return np.array([one.volumes for one in measured_tissues(segmenter, scans)])


def discrepancy(first: Array, second: Array) -> float:
    r"""Return the maximum mean discrepancy of two samples of features.

    .. math::
        \mathrm{MMD}^2 = \frac{\sum_{i \ne j} k(x_i, x_j)}{m (m - 1)}
        + \frac{\sum_{i \ne j} k(y_i, y_j)}{n (n - 1)} - \frac{2 \sum_{ij} k(x_i, y_j)}{m n}

    the unbiased estimate (Gretton et al., J Mach Learn Res 2012;13:723, equation 3), with a
    Gaussian kernel whose width is the median distance within the second sample. Features are
    standardised by the second sample.

    Parameters
    ----------
    first, second
        `(m, k)` and `(n, k)`, m and n at least 2.

    Returns
    -------
    float
        0 for equal distributions, on average; it may be negative.
    """
    mean, deviation = second.mean(axis=0), np.maximum(second.std(axis=0), 1e-6)
    x, y = ((sample - mean) / deviation for sample in (first, second))

    def squares(a: Array, b: Array) -> Array:
        distances: Array = ((a[:, None] - b[None]) ** 2).sum(axis=-1)
        return distances

    within = squares(y, y)
    width = float(np.median(within[~np.eye(len(y), dtype=bool)])) or 1.0

    def mean_kernel(a: Array, b: Array, *, same: bool) -> float:
        kernel = np.exp(-squares(a, b) / width)
        return float(kernel[~np.eye(len(a), dtype=bool)].mean() if same else kernel.mean())

    return (
        mean_kernel(x, x, same=True)
        + mean_kernel(y, y, same=True)
        - 2 * mean_kernel(x, y, same=False)
    )
