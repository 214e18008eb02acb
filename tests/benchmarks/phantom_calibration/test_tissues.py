import numpy as np
import pytest
from phantom_calibration import tissues
from scipy import ndimage

SPACING = (1.2, 1.2, 1.2)


@pytest.fixture(scope="module")
def shells():
    """Return tissue labels: white matter, grey matter and CSF as nested balls, in mm."""
    axes = np.meshgrid(*[(np.arange(80) - 39.5) * 1.2] * 3, indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in axes))
    return np.select([radius < 28, radius < 38, radius < 44], [3, 2, 1], 0).astype(np.uint8)


def blurred(labels, fwhm, noise=0.0, grey=0.65):
    """Return intensities 0.25, grey and 1, blurred by a Gaussian of FWHM mm, with noise."""
    ideal = np.array([0, 0.25, grey, 1.0])[labels]
    image = ndimage.gaussian_filter(ideal, fwhm / 2.3548 / 1.2)
    return (image + np.random.default_rng(0).normal(0, noise, image.shape)).astype(np.float32)


@pytest.mark.parametrize("sigma", [0.01, 0.04])
def test_noise_has_the_deviation_that_was_added(shells, sigma):
    assert tissues.noise(blurred(shells, 3, sigma), shells == 3) == pytest.approx(sigma, rel=0.03)


@pytest.mark.parametrize("step", [1, 2])
def test_noise_of_white_noise_does_not_depend_on_the_step(shells, step):
    image = blurred(shells, 3, 0.02)
    assert tissues.noise(image, shells == 3, step) == pytest.approx(0.02, rel=0.05)


def test_noise_ignores_a_smooth_field(shells):
    ramp = np.exp(np.linspace(-0.3, 0.3, 80)).astype(np.float32)
    image = blurred(shells, 3, 0.02) * ramp
    assert tissues.noise(image, shells == 3) == pytest.approx(0.02, rel=0.06)


def test_interpolated_noise_is_larger_at_step_2():
    white = np.random.default_rng(1).normal(1, 0.05, (60, 60, 60))
    inside = np.ones(white.shape, dtype=bool)
    shifted = ndimage.shift(white, 0.5, order=1, mode="wrap")
    # Half a voxel of shift multiplies the noise by the cosine of half the phase, along each axis.
    assert tissues.noise(shifted, inside, step=2) > 4 * tissues.noise(shifted, inside, step=1)


@pytest.mark.parametrize("fwhm", [3.0, 4.0, 6.0])
def test_edge_width_is_the_width_of_the_blur(shells, fwhm):
    # Central differences over 2.4 mm widen a narrow edge.
    result = tissues.edge_width(blurred(shells, fwhm), shells, SPACING)
    assert result == pytest.approx(fwhm, rel=0.12)


def test_edge_width_orders_noisy_edges(shells):
    narrow, wide = (
        tissues.edge_width(blurred(shells, fwhm, 0.02), shells, SPACING) for fwhm in (3.0, 4.0)
    )
    assert wide > 1.15 * narrow


@pytest.mark.parametrize("grey", [0.65, 0.8])
def test_classes_and_contrast_are_recovered(shells, grey):
    image = blurred(shells, 2.0, 0.03, grey)
    priors = np.stack([ndimage.gaussian_filter((shells == i) * 1.0, 4) for i in (1, 2, 3)]) + 0.02
    result = tissues.segment(image, shells > 0, (priors / priors.sum(axis=0)).astype(np.float32))
    assert (result == shells)[shells > 0].mean() > 0.9
    mean = tissues.levels(image, result)
    assert mean.grey / mean.white == pytest.approx(grey, abs=0.03)
    assert mean.csf / mean.white == pytest.approx(0.25, abs=0.08)


def test_a_missing_class_has_no_level(shells):
    assert np.isnan(tissues.levels(blurred(shells, 2), np.where(shells == 1, 0, shells)).csf)
