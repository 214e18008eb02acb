"""Monotone curves: derivative, ends, knots, and the identity."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from harmbench_methods.blindcurve.curves import monotone

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
