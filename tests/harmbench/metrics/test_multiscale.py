"""Multi-scale structural similarity."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from harmbench.metrics.image import SSIM
from harmbench.metrics.multiscale import MSSSIM, ms_ssim, n_scales


def values(metric, scans, images):
    changed = dataclasses.replace(scans, images=images)
    return metric.measure(changed, scans, None).tolist()


def test_it_falls_with_error_and_is_1_without(small_cohort):
    scans = small_cohort.scans("target", "test").load([0, 1])
    assert values(MSSSIM(), scans, scans.images) == pytest.approx([1, 1])
    noise = torch.randn(scans.images.shape, generator=torch.Generator().manual_seed(0))
    little, much = (
        values(MSSSIM(), scans, (scans.images + size * noise).clamp(0, 1)) for size in (0.05, 0.2)
    )
    assert all(1 > a > b > 0 for a, b in zip(little, much, strict=True))
    # Coarser scales average the noise.
    fine = values(SSIM(), scans, (scans.images + 0.2 * noise).clamp(0, 1))
    assert all(a > b for a, b in zip(much, fine, strict=True))


def test_the_background_does_not_count(small_cohort):
    scans = small_cohort.scans("target", "test").load([0])
    outside = torch.where(scans.masks, scans.images, 0.7)
    assert values(MSSSIM(), scans, outside) == pytest.approx([1])


def test_a_scan_without_foreground_has_no_value():
    x = torch.zeros(1, 2, 20, 20)
    # New tensors are on another device than the scans, as for scans on a GPU.
    with torch.device("meta"):
        value = ms_ssim(x, x, x > 0)
    assert value.device == x.device
    assert value.isnan().tolist() == [True]


def test_small_slices_have_fewer_scales():
    assert [n_scales(size, size) for size in (144, 28, 27, 7)] == [3, 3, 2, 2]
    with pytest.raises(ValueError, match="6 x 6|7 x 7"):
        n_scales(6, 6)
