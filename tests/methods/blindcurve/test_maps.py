"""Curves are monotone and smooth, fields are cosines, and a map undoes what it says it undoes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harmbench_methods._cosine_field import Cosines
from harmbench_methods.blindcurve.maps import (
    Curve,
    Map,
    ascending,
    foreground_quantiles,
    in_range,
    levels,
)

steps = st.lists(st.floats(0.01, 1), min_size=2, max_size=12)


def knots(rises):
    heights = torch.tensor([0.0, *rises], dtype=torch.float64).cumsum(dim=0)
    return heights / heights[-1]


@given(steps, st.randoms(use_true_random=False))
def test_a_curve_is_monotone_and_meets_its_knots(rises, random):
    y = knots(rises)
    shuffled = random.sample(rises, len(rises))
    curve = Curve(knots(shuffled), y)
    torch.testing.assert_close(curve(curve.x), y)
    values = curve(torch.linspace(0, 1, 500, dtype=torch.float64))
    assert (values.diff() > 0).all()
    assert (curve.slopes > 0).all()


@given(steps)
def test_a_curve_has_no_kinks(rises):
    curve = Curve(torch.linspace(0, 1, len(rises) + 1, dtype=torch.float64), knots(rises))
    inner, slopes, h = curve.x[1:-1], curve.slopes[1:-1], 1e-7
    left, right = (curve(inner) - curve(inner - h)) / h, (curve(inner + h) - curve(inner)) / h
    torch.testing.assert_close(left, slopes, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(right, slopes, rtol=1e-3, atol=1e-4)


def test_values_beyond_the_knots_map_to_the_ends():
    curve = Curve(torch.tensor([0.2, 0.5, 0.8]), torch.tensor([0.1, 0.7, 0.9]))
    torch.testing.assert_close(curve(torch.tensor([0.0, 1.0])), torch.tensor([0.1, 0.9]))


@pytest.mark.parametrize("gamma", [0.6, 1.0, 1.8])
def test_the_exponent_of_a_power(gamma):
    y = torch.linspace(0.05, 1, 25)
    assert Curve(y**gamma, y).exponent == pytest.approx(gamma, abs=1e-3)


def test_ascending_knots_change_little():
    result = ascending(torch.tensor([0.3, 0.3, 0.1, 1.2]))
    assert (result.diff() > 0).all()
    torch.testing.assert_close(result, torch.tensor([0.3, 0.3, 0.3, 1.0]), atol=1e-4, rtol=0)


def test_quantiles_are_numpys():
    values = torch.from_numpy(np.random.default_rng(0).gamma(2.0, size=3001)).float()
    at = levels(24)
    expected = np.quantile(values.numpy(), at.numpy())
    np.testing.assert_allclose(foreground_quantiles(values, at).numpy(), expected, rtol=1e-4)


def test_quantiles_of_many_values_keep_both_ends():
    values = torch.from_numpy(np.random.default_rng(0).uniform(size=200_001)).float()
    values[77_777] = 3.0
    result = foreground_quantiles(values, levels(8))
    assert result[-1] == 3.0
    assert result[0] == values.min()
    torch.testing.assert_close(result[4], torch.tensor(0.5), atol=0.01, rtol=0)


def test_a_field_is_the_sum_of_its_terms():
    cosines, shape = Cosines(2), (3, 4, 5)
    coefficients = torch.randn(len(cosines.terms), generator=torch.Generator().manual_seed(0))
    places = torch.stack(
        torch.meshgrid(*((torch.arange(n) + 0.5) / n for n in shape), indexing="ij"), dim=-1
    ).reshape(-1, 3)
    field = cosines.field(coefficients, shape)
    torch.testing.assert_close(cosines.at(places) @ coefficients, field.flatten())
    assert (0, 0, 0) not in cosines.terms
    assert int(cosines.degrees.max()) == 2


def test_slices_keep_their_maxima():
    image = torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(0))
    image[1] = 0
    changed = in_range(image * 0.3, image, slicewise=True)
    torch.testing.assert_close(changed, image)
    assert torch.equal(in_range(image * 0.3, image, slicewise=False), image * 0.3)


def test_a_map_undoes_a_field_and_a_curve():
    generator = torch.Generator().manual_seed(0)
    cosines = Cosines(3)
    truth = torch.rand(4, 8, 8, generator=generator) * 0.9 + 0.1
    truth = truth / truth.amax(dim=(1, 2), keepdim=True)
    mask = torch.ones_like(truth, dtype=torch.bool)
    mask[:, :2] = False
    truth = truth * mask
    truth = truth / truth.amax(dim=(1, 2), keepdim=True)
    field = 0.1 * torch.randn(len(cosines.terms), generator=generator)
    source = truth**1.5 * cosines.field(field, (4, 8, 8)).exp()
    source = source / source.amax(dim=(1, 2), keepdim=True)
    y = torch.linspace(0, 1, 65)
    curve = Curve(y**1.5, y)
    result = Map(field=field, curve=curve, anchor=curve, slicewise=True)(source, mask, cosines)
    torch.testing.assert_close(result, truth, atol=2e-3, rtol=0)
    assert torch.equal(
        Map(field=field, curve=curve, anchor=curve, slicewise=True, unchanged=True)(
            source, mask, cosines
        ),
        source,
    )
