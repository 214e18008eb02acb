"""Volumes and intensities of the tissues of a scan, which an instrument measures."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from harmbench import Grid, Instrument, Scans, ScanSet

from .enlarged_ventricles import ventricle_box
from .tissue_segmenter import TISSUES, TissueSegmenter

TISSUE_SEGMENTER = "tissue segmenter"  # name of the instrument within a task
FEATURES = (
    *(f"volume of {tissue}" for tissue in TISSUES),
    "volume of the ventricles",
    *(f"intensity of {tissue}" for tissue in TISSUES),
    "contrast of gm and wm",
)

Array = npt.NDArray[np.float64]


def tissue_segmenter(instrument: Instrument) -> TissueSegmenter:
    """Return the instrument as the class that a task declares."""
    assert isinstance(instrument, TissueSegmenter)
    return instrument


def features(segmenter: TissueSegmenter, scans: Scans, grid: Grid) -> Array:
    """Return the `FEATURES` of N scans: `(N, 8)`.

    Volumes are shares of the volume of the brain: scans are registered to a template, so their
    brains have about equal size. Intensities are means weighted by the probability of a tissue.
    """
    tissues = segmenter.probabilities(scans).double()
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


def features_of_all(segmenter: TissueSegmenter, scans: ScanSet) -> Array:
    """Return the `FEATURES` of each scan of a collection: `(N, 8)`."""
    return np.concatenate([features(segmenter, one, scans.grid) for one in scans.batches()])
