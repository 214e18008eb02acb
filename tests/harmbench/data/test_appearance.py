"""The measures of a scan respond to what they are named after, and to nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from harmbench.data.appearance import appearance, shading

SPACING = (2.0, 2.0, 2.0)
AXES = ("z", "y", "x")


@pytest.fixture(scope="module")
def ball():
    """A bright core in a dark shell, with smooth texture; and its mask."""
    axes = np.meshgrid(*[np.linspace(-1.1, 1.1, 48)] * 3, indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in axes))
    texture = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((48,) * 3), 3)
    image = np.where(radius < 0.7, 0.8, 0.4) + 0.05 * texture / texture.std()
    mask = radius < 1
    return np.where(mask, image, 0).astype(np.float32), mask


def grain(sigma, shape):
    return (sigma * np.random.default_rng(1).standard_normal(shape)).astype(np.float32)


def test_sharpness_is_a_half_for_a_ramp_and_one_for_white_noise():
    mask = np.ones((20, 20, 20), dtype=bool)
    ramp = np.add.outer(np.add.outer(np.arange(20), np.arange(20)), np.arange(20)) / 57
    for image, expected in ((ramp, 0.5), (grain(1, mask.shape), 1.0)):
        measures = appearance(image.astype(np.float32), mask, SPACING)
        for axis in AXES:
            assert measures[f"sharpness_{axis}"] == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("axis", range(3))
def test_blur_along_an_axis_lowers_the_sharpness_of_that_axis_most(ball, axis):
    image, mask = ball
    noisy = image + grain(0.05, mask.shape)
    before = appearance(noisy, mask, SPACING)
    after = appearance(ndimage.uniform_filter1d(noisy, 3, axis=axis), mask, SPACING)
    falls = [before[f"sharpness_{name}"] - after[f"sharpness_{name}"] for name in AXES]
    assert np.argmax(falls) == axis
    assert falls[axis] > 0.1


@pytest.mark.parametrize("sigma", [0.05, 0.1])
def test_noise_is_its_standard_deviation_by_the_range(ball, sigma):
    image, mask = ball
    noisy = image + grain(sigma, mask.shape)
    measures = appearance(noisy, mask, SPACING)
    spread = measures["percentile_95"] - measures["percentile_5"]
    assert measures["noise"] * spread == pytest.approx(sigma, rel=0.15)


def test_contrast_changes_its_sign_where_intensities_are_inverted(ball):
    image, mask = ball
    measures = appearance(image, mask, SPACING)
    inverted = appearance(np.where(mask, 1.2 - image, 0), mask, SPACING)
    assert measures["contrast"] > 0.5
    assert inverted["contrast"] == pytest.approx(-measures["contrast"], abs=1e-3)
    assert inverted["noise"] == pytest.approx(measures["noise"], abs=1e-4)
    assert inverted["litres"] == measures["litres"] == pytest.approx(mask.sum() * 8e-6, abs=1e-5)


def test_an_empty_mask_has_no_measures():
    assert appearance(np.zeros((3, 4, 5)), np.zeros((3, 4, 5), dtype=bool), SPACING) == {}


def test_a_thin_brain_has_measures():
    mask = np.zeros((3, 12, 12), dtype=bool)
    mask[1, 5, 5:7] = True
    assert all(np.isfinite([*appearance(mask.astype(np.float32), mask, SPACING).values()]))


def test_shading_follows_a_smooth_field_and_not_the_gain():
    mask = np.ones((45, 30, 30), dtype=bool)  # three by two by two cubes
    field = np.exp(np.linspace(-0.4, 0.4, 45))[:, None, None]
    for gain in (1, 3):
        image = (gain * 0.2 * field * np.ones(mask.shape)).astype(np.float32)
        values = np.array(shading(image, mask, SPACING)).reshape(3, 4)
        np.testing.assert_allclose(values[:, 0], np.array([-1, 0, 1]) * 0.8 * 15 / 44, atol=1e-3)
        np.testing.assert_allclose(values, values[:, :1] * np.ones(4), atol=1e-3)


def test_cubes_outside_the_brain_have_no_shading(ball):
    image, mask = ball
    values = np.array(shading(image, mask, SPACING), dtype=float).reshape(4, 4, 4)
    assert np.isnan(values[0, 0, 0])
    assert np.isfinite(values[1, 1, 1])
    assert set(shading(image, np.zeros_like(mask), SPACING)) == {None}
