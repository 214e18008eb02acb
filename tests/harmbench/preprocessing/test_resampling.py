"""Resampling: points, means, masks and tissue labels on the grid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harmbench.data.scans import GRIDS
from harmbench.preprocessing.brain import crop_brain
from harmbench.preprocessing.nifti_read import Volume
from harmbench.preprocessing.normalization import NORMALIZATIONS
from harmbench.preprocessing.registration import Registration
from harmbench.preprocessing.resampling import (
    resample_brain,
    resample_labels,
)
from helpers.volumes import coarse, labelled, template, volume_of

IDENTITY = Registration(tuple(tuple(float(x) for x in row) for row in np.eye(4)), 1.0)


def test_the_grid_holds_intensities_mask_and_tissues() -> None:
    volume = Volume(*template())
    volume = replace(volume, data=3000 * volume.data)
    brain = crop_brain(volume)
    labels = tuple(
        brain.crop(((volume.data > low) & (volume.data <= high)).astype(np.float32))
        for low, high in ((0, 1500), (1500, 2250), (2250, 9999))
    )
    image, mask = resample_brain(brain, IDENTITY, GRIDS["quick"])
    assert image.shape == mask.shape == (50, 72, 88)
    assert image.dtype == np.float32
    assert image.max() > 2000
    assert image[mask].min() > 0
    assert not image[~mask].any()
    # The template's own mask has 1.2 litres in this slab, and the grid's voxel 6.912 mm^3.
    slab = volume.data[:, :, 61:119] > 0
    litres = mask.sum() * 6.912e-6
    assert litres == pytest.approx(slab.sum() * (60 / 58) * 1e-6, rel=0.03)
    tissues = resample_labels(labels, mask, brain, IDENTITY, GRIDS["quick"])
    assert tissues.dtype == np.uint8
    assert not tissues[~mask].any()
    means = [image[tissues == tissue].mean() for tissue in (1, 2, 3)]
    assert means == sorted(means)


def test_labels_follow_the_image() -> None:
    """Tissue means of the image are as far apart on the grid as in the file."""
    volume, labels = volume_of(coarse()), volume_of(labelled(coarse()))
    brain = crop_brain(volume)
    tissues = tuple(brain.crop((labels.data == k).astype(np.float32)) for k in (1, 2, 3))
    image, mask = resample_brain(brain, IDENTITY, GRIDS["quick"])
    image = NORMALIZATIONS["minmax"](image, mask)
    np.testing.assert_allclose(image.max(axis=(1, 2)), 1)
    on_grid = resample_labels(tissues, mask, brain, IDENTITY, GRIDS["quick"])
    flat = [image[on_grid == k].mean() for k in (1, 2, 3)]
    assert flat[1] - flat[0] > 0.15
    assert flat[2] - flat[1] > 0.15
