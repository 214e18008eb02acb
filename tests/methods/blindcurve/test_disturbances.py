"""Disturbances are drawn into plain numbers, and applied by a pure function."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from harmbench_methods._cosine_field import Cosines
from harmbench_methods.blindcurve.config import BlindCurveConfig
from harmbench_methods.blindcurve.disturbances import Disturbance, disturbed, draw

COSINES = Cosines(3)
CONFIG = BlindCurveConfig(field_strength=1.5, power_deviation=0.3, noise=0.05, blur=0.6)
NOTHING = Disturbance(
    exponent=1.0, field=torch.zeros(len(COSINES.terms)), blur=0.0, noise=0.0, noise_seed=0
)


def scan():
    generator = torch.Generator().manual_seed(0)
    mask = torch.zeros(4, 12, 12, dtype=torch.bool)
    mask[:, 2:-2, 2:-2] = True
    image = torch.rand(4, 12, 12, generator=generator) * mask
    return image / image.amax(dim=(1, 2), keepdim=True), mask


def test_equal_streams_draw_equal_disturbances():
    one, same, other = (draw(np.random.default_rng(n), CONFIG, COSINES) for n in (1, 1, 2))
    assert torch.equal(one.field, same.field)
    assert (one.exponent, one.noise_seed) == (same.exponent, same.noise_seed)
    assert not torch.equal(one.field, other.field)


def test_draws_are_within_the_family():
    for seed in range(20):
        result = draw(np.random.default_rng(seed), CONFIG, COSINES)
        field = COSINES.field(result.field, (17, 17, 17))
        assert field.abs().max() <= math.log(1.5) + 1e-5
        assert result.exponent > 0
        assert 0 <= result.noise <= 0.05
        assert 0 <= result.blur <= 0.6


def test_a_family_without_disturbances_changes_nothing():
    image, mask = scan()
    for slicewise in (True, False):
        result = disturbed(image, mask, NOTHING, COSINES, slicewise)
        torch.testing.assert_close(result, image, atol=2e-4, rtol=0)


@pytest.mark.parametrize("slicewise", [True, False])
def test_disturbing_does_not_change_the_input_or_the_background(slicewise):
    image, mask = scan()
    before = image.clone()
    drawn = draw(np.random.default_rng(3), CONFIG, COSINES)
    first, second = (disturbed(image, mask, drawn, COSINES, slicewise) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(image, before)
    assert (first[~mask] == 0).all()
    assert (first[mask] > 0).all()
    assert first.max() <= 1 + 1e-6
    if slicewise:
        torch.testing.assert_close(first.amax(dim=(1, 2)), torch.ones(4))


def roughness(image):
    return image[:, 3:-3, 3:-3].diff(dim=-1).abs().mean()


def test_noise_increases_the_roughness():
    _, mask = scan()
    flat = 0.7 * mask
    noisy = dataclasses.replace(NOTHING, noise=0.1, noise_seed=5)
    assert roughness(flat) == 0
    assert roughness(disturbed(flat, mask, noisy, COSINES, True)) > 0.05


def test_blur_decreases_the_roughness():
    image, mask = scan()
    blurred = dataclasses.replace(NOTHING, blur=0.8)
    assert roughness(disturbed(image, mask, blurred, COSINES, True)) < 0.7 * roughness(image)
