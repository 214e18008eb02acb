"""The properties of a harmonised batch, each broken by a little."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from harmbench.execution.compute.invariants import (
    batch_dependence,
    changed_background,
    changed_input,
    outside_range,
)

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def source(small_cohort):
    return small_cohort.scans("domain1", "test").load([0, 1])


def test_one_changed_voxel_of_the_input_is_found(source):
    copy = dataclasses.replace(source, images=source.images.clone(), masks=source.masks.clone())
    assert changed_input(copy, source) is None
    copy.masks[0, 0, 0, 0] ^= True
    assert changed_input(copy, source).expected == "unchanged scans.masks"


@pytest.mark.parametrize("value", [-2e-6, 1 + 2e-6])
def test_the_range_is_exact_to_rounding(source, value):
    images = source.images.clone()
    assert outside_range(images) is None
    images[0, 0, 0, 0] = value
    assert "they span" in outside_range(images).got


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_the_range_is_that_of_the_finite_intensities(source, value):
    images = source.images.clone()
    images[0, 0, 0, 0] = value
    assert outside_range(images) is None
    images[0, 0, 0, 1] = 1.5
    assert outside_range(images).got == "they span [0, 1.5]"
    assert outside_range(torch.full_like(images, value)) is None


def test_only_the_background_must_not_change(source):
    inside = torch.where(source.masks, 0.5, source.images)
    assert changed_background(inside, source) is None
    outside = torch.where(source.masks, source.images, 2e-6)
    assert "they differ by up to 2e-06" in changed_background(outside, source).got
    infinite = torch.where(source.masks, source.images, torch.inf)
    assert changed_background(infinite, source) is None


def test_the_tolerance_on_a_gpu_is_of_the_mean(source):
    images = source.images
    other = images.clone()
    other[0, 0, 0, 0] += 2e-5
    assert batch_dependence(images, images, CPU) is None
    assert "keep nothing in `self`" in batch_dependence(images, other, CPU).fix
    assert batch_dependence(images, other, CUDA) is None
    assert batch_dependence(images, images + 0.006, CUDA) is not None
