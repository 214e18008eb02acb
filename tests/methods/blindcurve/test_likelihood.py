"""The curve, the gain and their likelihood: derivatives, ends, and what they leave alone."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harmbench_methods._cosine_field import Cosines
from harmbench_methods.blindcurve.config import BlindCurveConfig
from harmbench_methods.blindcurve.likelihood import Likelihood, monotone, with_gain

SEEDS = st.integers(0, 2**32 - 1)
BINS = st.integers(1, 9)


def curve(seed, K):
    """Random knots, heights and slopes, in float64."""
    generator = torch.Generator().manual_seed(seed)
    width = torch.rand(K, generator=generator, dtype=torch.float64) + 0.05
    knots = torch.cat((width.new_zeros(1), (width / width.sum()).cumsum(dim=0)))
    heights = torch.randn(K, generator=generator, dtype=torch.float64)
    slopes = torch.randn(K + 1, generator=generator, dtype=torch.float64)
    return knots, heights, slopes


@given(SEEDS, BINS)
def test_curves_derivative_is_autograds(seed, K):
    x = torch.rand(60, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x.requires_grad_()
    y, log_slope = monotone(x, *curve(seed, K))
    (expected,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(log_slope.exp(), expected, rtol=1e-8, atol=1e-12)


@given(SEEDS, BINS)
def test_curve_rises_from_end_to_end_of_the_unit_interval(seed, K):
    x = torch.linspace(0, 1, 401, dtype=torch.float64)
    y, log_slope = monotone(x, *curve(seed, K))
    assert (y.diff() > 0).all()
    assert log_slope.isfinite().all()
    torch.testing.assert_close(y[[0, -1]], x[[0, -1]], rtol=0, atol=1e-12)


@given(SEEDS, BINS)
def test_curve_has_the_given_rises_and_slopes_at_its_knots(seed, K):
    knots, heights, slopes = curve(seed, K)
    y, log_slope = monotone(knots, knots, heights, slopes)
    rises = (knots.diff().log() + heights).softmax(dim=0)
    torch.testing.assert_close(y.diff(), rises, rtol=0, atol=1e-12)
    torch.testing.assert_close(log_slope, slopes, rtol=0, atol=1e-9)
    shifted, _ = monotone(knots, knots, heights + 3, slopes)
    torch.testing.assert_close(shifted, y)


@given(SEEDS, BINS)
def test_curve_is_the_identity_if_rises_are_widths_and_slopes_are_one(seed, K):
    knots, heights, slopes = curve(seed, K)
    x = torch.rand(60, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    y, log_slope = monotone(x, knots, torch.full_like(heights, 5.0), torch.zeros_like(slopes))
    torch.testing.assert_close(y, x, rtol=0, atol=1e-12)
    torch.testing.assert_close(log_slope, torch.zeros_like(x), rtol=0, atol=1e-9)


@pytest.mark.parametrize("degree", [1, 2, 3, 4])
def test_field_has_every_term_up_to_its_degree_once(degree):
    cosines = Cosines(degree)
    # Monomials of three variables up to the degree, without the constant.
    assert len(set(cosines.terms)) == len(cosines.terms) == math.comb(degree + 3, 3) - 1
    assert cosines.degrees.tolist() == [sum(term) for term in cosines.terms]
    assert (cosines.degrees.min(), cosines.degrees.max()) == (1, degree)


def test_fields_of_the_third_degree_have_19_terms():
    assert len(Cosines(3).terms) == 19


def test_terms_have_zero_mean_and_are_orthogonal():
    shape = (24, 40, 32)
    terms = Cosines(3).basis(torch.arange(shape[0]), shape).flatten(1)
    torch.testing.assert_close(terms.mean(dim=1), torch.zeros(19), rtol=0, atol=1e-5)
    gram = terms @ terms.T / terms.shape[1]
    torch.testing.assert_close(gram, gram.diagonal().diag(), rtol=0, atol=1e-5)
    assert 0.1 < float(gram.diagonal().min()) <= float(gram.diagonal().max()) < 0.6


def test_a_term_is_the_product_of_its_cosines():
    S, H, W = shape = (5, 6, 7)
    cosines = Cosines(3)
    term = cosines.basis(torch.arange(S), shape)[cosines.terms.index((1, 0, 2))]
    expected = math.cos(math.pi * 3.5 / S) * math.cos(2 * math.pi * 4.5 / W)
    torch.testing.assert_close(term[3, :, 4], torch.full((H,), expected))


def test_the_terms_of_a_slice_do_not_depend_on_the_other_slices():
    cosines, shape = Cosines(2), (9, 6, 7)
    index = torch.tensor([7, 0, 4])
    assert torch.equal(cosines.basis(index, shape), cosines.basis(torch.arange(9), shape)[:, index])


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
