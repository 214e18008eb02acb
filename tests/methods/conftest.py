"""Small heads that lie on disk as a cohort's scans do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from harmbench import ScanSet, minmax, write_row
from harmbench.data.cohort_writer import CohortWriter
from harmbench.data.scan_set import ScanKey


def head(shape, number):
    """Return the scan of a subject: an ellipse of three tissues with individual folds."""
    S, H, W = shape
    random = np.random.default_rng(number)
    y, x = np.mgrid[-1 : 1 : H * 1j, -1 : 1 : W * 1j]
    folds = gaussian_filter(random.standard_normal((S, H, W)), (0.5, 1.5, 1.5))
    radius = np.hypot(x / random.uniform(0.8, 0.9), y / random.uniform(0.8, 0.9)) + 0.3 * folds
    mask = radius < 1
    tissue = np.select([radius < 0.35, radius < 0.7, mask], [0.35, 0.95, 0.6], 0.0)
    noise = 0.02 * random.standard_normal((S, H, W))
    return np.where(mask, tissue + noise, 0).clip(0, 1), mask


@pytest.fixture(scope="session")
def heads(tmp_path_factory):
    """Return scans of `count` subjects on a grid."""

    def make(grid, count):
        writer = CohortWriter(tmp_path_factory.mktemp("cohort"), grid)
        folder = writer.begin_domain("target", count, labelled=False)
        subjects = [head(grid.shape, number) for number in range(count)]
        images = minmax(torch.from_numpy(np.stack([image for image, _ in subjects])).float())
        for row, (_, mask) in enumerate(subjects):
            write_row(folder, "images", row, images[row].numpy())
            write_row(folder, "masks", row, mask)
        keys = [ScanKey(f"p{n}", "1", f"key{n}") for n in range(count)]
        return ScanSet.stored(folder, domain="target", grid=grid, scans=keys)

    return make
