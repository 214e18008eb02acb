"""Shifts of whole volumes are the shifts of the slices."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harmbench.data.prepared_volume import grid_volume_affine
from harmbench.testing.tiny import tiny_cohort
from tasks.simulated import FormulaCurve, draw_bias


@pytest.fixture(scope="module")
def scans():
    return tiny_cohort().scans("target", "test")


@pytest.mark.parametrize("kind", ["exp", "log", "gamma", "bias"])
def test_on_the_voxels_of_the_grid_both_are_equal(scans, kind) -> None:
    shift = (
        draw_bias(scans, 0, "sim-bias", "percentile") if kind == "bias" else FormulaCurve(kind, 0.7)
    )
    place = len(scans) - 1
    whole = scans.load([place])
    images, masks = whole.images[0], whole.masks[0]
    index = torch.arange(len(images))
    unscaled = getattr(shift, "unscaled", shift)
    slices = unscaled(images, masks, torch.full_like(index, place), index)
    to_index = np.linalg.inv(scans.grid.affine) @ grid_volume_affine(scans.grid)
    volume = shift.on_volume(
        images.numpy().transpose(1, 2, 0), masks.numpy().transpose(1, 2, 0), to_index, place
    )
    expected = torch.where(masks, slices, 0).numpy()
    np.testing.assert_allclose(volume.transpose(2, 0, 1), expected, atol=2e-6)
