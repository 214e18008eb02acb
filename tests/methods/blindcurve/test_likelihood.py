"""The gain and the likelihood: derivatives, maxima, and what they leave alone."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harmbench_methods.blindcurve.config import BlindCurveConfig
from harmbench_methods.blindcurve.cosines import Cosines
from harmbench_methods.blindcurve.curves import monotone
from harmbench_methods.blindcurve.likelihood import Likelihood, with_gain

SEEDS = st.integers(0, 2**32 - 1)


@given(SEEDS)
def test_a_field_keeps_each_slices_maximum_and_all_zeros(seed):
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(4, 6, 5, generator=generator).where(
        torch.rand(4, 6, 5, generator=generator) > 0.3, 0.0
    )
    image[2] = 0
    field = torch.randn(4, 6, 5, generator=generator).exp()
    result = with_gain(image, field, slicewise=True)
    assert torch.equal(result == 0, image == 0)
    torch.testing.assert_close(result.amax(dim=(1, 2)), image.amax(dim=(1, 2)))
    ratio = (result / (image * field))[0][image[0] > 0]
    torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio))
    torch.testing.assert_close(with_gain(image, 7 * field, slicewise=True), result)


def test_a_field_along_the_slices_of_a_volume_is_removed() -> None:
    image = 0.1 + 0.4 * torch.rand(4, 5, 5)
    along = torch.tensor([0.8, 0.9, 1.1, 1.2])[:, None, None].expand(4, 5, 5)
    disturbed = with_gain(image, along, slicewise=False)
    restored = with_gain(disturbed, 1 / along, slicewise=False)
    torch.testing.assert_close(restored, image)
    assert float(disturbed.mean()) == pytest.approx(float(image.mean()))
    # Scaled slice by slice, such a field would leave no trace.
    torch.testing.assert_close(with_gain(image, along, slicewise=True), image)


def test_gradients_pass_a_field_even_where_a_slice_is_empty():
    image = torch.rand(2, 4, 4)
    image[1] = 0
    strength = torch.zeros((), requires_grad=True)
    result = with_gain(image, (strength * torch.rand(2, 4, 4)).exp(), slicewise=True)
    (gradient,) = torch.autograd.grad(result.square().sum(), strength)
    assert gradient.isfinite()
    assert gradient != 0


def test_log_posterior_changes_variables_as_autograd_does():
    generator = torch.Generator().manual_seed(0)
    shape = (2, 3, 4)
    cosines = Cosines(1)
    start = 0.1 + 0.8 * torch.rand(shape, generator=generator, dtype=torch.float64)
    mask = torch.rand(shape, generator=generator) < 0.8
    parameters = [
        0.3 * torch.randn(count, generator=generator, dtype=torch.float64)
        for count in (len(cosines.terms), 4, 5)
    ]
    both = [
        Likelihood(
            log_prob=lambda y: -0.5 * y.square().sum(dim=(1, 2)),
            image=start.where(mask, 0),
            mask=mask,
            basis=cosines.basis(torch.arange(2), shape).double(),
            degrees=cosines.degrees.double(),
            knots=torch.linspace(0, 1, 5, dtype=torch.float64),
            slicewise=True,
            config=BlindCurveConfig(jacobian=jacobian),
        )
        for jacobian in (True, False)
    ]
    image = start.where(mask, 0)
    with_it, without = (likelihood.log_posterior(*parameters) for likelihood in both)

    def corrected(values):
        c, heights, slopes = parameters
        knots = both[0].knots
        y, _ = monotone(values, knots, heights, slopes)
        field = torch.einsum("p,pshw->shw", c, both[0].basis).exp()
        return with_gain(image.masked_scatter(mask, y), field, slicewise=True)[mask]

    jacobian = torch.autograd.functional.jacobian(corrected, image[mask])
    torch.testing.assert_close(with_it - without, torch.linalg.slogdet(jacobian).logabsdet)


@pytest.fixture
def gaussian_likelihood():
    """Likelihoods under a normal density around a smooth picture, which a scan differs from."""
    shape = (3, 12, 10)
    cosines = Cosines(2)
    generator = torch.Generator().manual_seed(3)
    picture = 0.2 + 0.6 * torch.rand(shape, generator=generator)
    mask = torch.rand(shape, generator=generator) < 0.9
    basis = cosines.basis(torch.arange(3), shape)

    def make(image, **settings):
        return Likelihood(
            log_prob=lambda y: -0.5 * ((y - picture) / 0.02).square().sum(dim=(1, 2)),
            image=image.where(mask, 0),
            mask=mask,
            basis=basis,
            degrees=cosines.degrees,
            knots=torch.linspace(0, 1, 5),
            slicewise=False,
            config=BlindCurveConfig(curve_deviation=1.0, field_deviation=1.0, **settings),
        )

    return picture, basis, make


def test_gradient_is_zero_at_the_most_likely_curve(gaussian_likelihood):
    picture, _, make = gaussian_likelihood
    likelihood = make(picture.square(), curve_iterations=300)
    curve = likelihood.curve
    assert curve.abs().max() > 0.3
    parameters = [part.clone().requires_grad_() for part in curve.split((4, 5))]
    before = likelihood.log_posterior(torch.zeros(4), torch.zeros(5))
    after = likelihood.log_posterior(*parameters)
    assert after > before + 100
    gradients = torch.autograd.grad(after / likelihood.mask.sum(), parameters)
    assert torch.cat(gradients).abs().max() < 0.05


def test_most_likely_gain_undoes_a_field_in_the_default_number_of_iterations(gaussian_likelihood):
    picture, basis, make = gaussian_likelihood
    field = torch.tensor([0.1, -0.05, 0.0, 0.03, 0.08, 0.0, -0.04, 0.05, 0.0])
    likelihood = make(picture * torch.einsum("p,pshw->shw", field, basis).exp())
    error = likelihood.gain + field
    assert error.square().sum() < 0.1 * field.square().sum()
