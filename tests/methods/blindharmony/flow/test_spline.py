"""The spline, with nflows' and autograd as oracles."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nflows.transforms.splines import unconstrained_rational_quadratic_spline

from harmbench_methods.blindharmony.flow.spline import (
    MIN_SLOPE,
    rational_quadratic,
    rational_quadratic_value,
)

B = 3.0


def draw(dtype, K, spread, seed=0):
    """Inputs from within the bounds and from both tails."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2, 300, generator=generator, dtype=torch.float64) * 2
    x[0, :3] = torch.tensor([0.0, -50.0, 50.0])
    parameters = torch.randn(2, 3 * K - 1, 300, generator=generator, dtype=torch.float64)
    return x.to(dtype).requires_grad_(), (parameters * spread).to(dtype).requires_grad_()


def nflows_spline(x, parameters, K, inverse):
    p = parameters.permute(0, 2, 1)
    return unconstrained_rational_quadratic_spline(
        x, p[..., :K], p[..., K : 2 * K], p[..., 2 * K :], inverse=inverse, tail_bound=B
    )


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize(("K", "spread"), [(8, 0.1), (8, 1.0), (8, 4.0), (2, 1.0)])
def test_spline_equals_nflows_in_value_and_gradient(K, spread, inverse):
    x, parameters = draw(torch.float64, K, spread)
    ours = rational_quadratic(x, parameters, bins=K, bound=B, inverse=inverse)
    theirs = nflows_spline(x, parameters, K, inverse)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-7, atol=1e-8)
        weights = torch.randn_like(mine)
        for got, expected in zip(
            torch.autograd.grad((mine * weights).sum(), (x, parameters), retain_graph=True),
            torch.autograd.grad((other * weights).sum(), (x, parameters), retain_graph=True),
            strict=True,
        ):
            torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("inverse", [False, True])
def test_spline_equals_nflows_in_float32(inverse):
    x, parameters = draw(torch.float32, 8, 0.3)
    y, logabsdet = rational_quadratic(x, parameters, bins=8, bound=B, inverse=inverse)
    y_nflows, logabsdet_nflows = nflows_spline(x.double(), parameters.double(), 8, inverse)
    torch.testing.assert_close(y, y_nflows.float(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(logabsdet, logabsdet_nflows.float(), rtol=1e-5, atol=1e-4)
    ours = torch.autograd.grad((y + logabsdet).sum(), parameters)[0]
    theirs = torch.autograd.grad((y_nflows + logabsdet_nflows).sum(), parameters)[0]
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(
    K=st.integers(2, 10),
    spread=st.floats(0, 4),
    scale=st.floats(0.1, 1),
    bound=st.floats(0.5, 8),
    seed=st.integers(0, 2**31),
)
def test_spline_inverse_undoes_it(K, spread, scale, bound, seed):
    x, parameters = draw(torch.float64, K, spread, seed)
    options = {"bins": K, "bound": bound, "scale": scale}
    y, logabsdet = rational_quadratic(x, parameters, **options)
    back, back_logabsdet = rational_quadratic(y, parameters, **options, inverse=True)
    # Where the curve is flat, rounding of y is magnified by its inverse slope.
    tolerance = 1e-9 + 1e-13 * (-logabsdet).exp()
    assert bool(((back - x).abs() <= tolerance).all())
    steep = logabsdet > -8
    torch.testing.assert_close(back_logabsdet[steep], -logabsdet[steep], rtol=1e-6, atol=1e-6)


def test_spline_derivative_is_autograds_and_tails_are_the_identity():
    x, parameters = draw(torch.float64, 8, 2.0)
    with torch.no_grad():
        x[1, :2] = torch.tensor([-B, B])
    y, logabsdet = rational_quadratic(x, parameters, bins=8, bound=B)
    (slope,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(slope.log(), logabsdet, rtol=1e-8, atol=1e-8)
    tails = x.abs() >= B
    assert int(tails.sum()) > 20
    torch.testing.assert_close(y[tails], x[tails], rtol=0, atol=1e-12)
    torch.testing.assert_close(logabsdet[tails], torch.zeros_like(x[tails]), rtol=0, atol=1e-9)


@pytest.mark.parametrize("extreme", [-60.0, 60.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_spline_is_finite_at_extreme_parameters(dtype, extreme):
    x, parameters = draw(dtype, 8, 1.0)
    with torch.no_grad():
        parameters[:, ::3] = extreme
    for inverse in (False, True):
        y, logabsdet = rational_quadratic(x, parameters, bins=8, bound=B, inverse=inverse)
        gradients = torch.autograd.grad(y.sum() + logabsdet.sum(), (x, parameters))
        for tensor in (y, logabsdet, *gradients):
            assert tensor.isfinite().all()


@settings(max_examples=40, deadline=None)
@given(
    K=st.integers(2, 10),
    spread=st.floats(0, 4),
    bound=st.floats(0.5, 8),
    inverse=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    seed=st.integers(0, 2**31),
)
def test_spline_is_increasing_and_stays_in_its_bounds(K, spread, bound, inverse, dtype, seed):
    _, parameters = draw(dtype, K, spread, seed)
    one = parameters.detach()[:1, :, :1].expand(1, -1, 500)
    x = torch.linspace(-1.5 * bound, 1.5 * bound, 500, dtype=dtype)[None]
    options = {"bins": K, "bound": bound, "inverse": inverse}
    y, logabsdet = rational_quadratic(x, one, **options)
    # Where it is flat, neighbours may round to one number or past each other by one.
    assert bool((y.diff() >= -8 * bound * torch.finfo(dtype).eps).all())
    assert bool((y[x.abs() <= bound].abs() <= bound * (1 + 1e-6)).all())
    assert logabsdet.isfinite().all()
    assert torch.equal(y, rational_quadratic_value(x, one, **options))


@settings(max_examples=40, deadline=None)
@given(
    K=st.integers(2, 10),
    spread=st.floats(0, 3),
    bound=st.floats(0.5, 8),
    inverse=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_spline_log_derivative_is_autograds(K, spread, bound, inverse, seed):
    x, parameters = draw(torch.float64, K, spread, seed)
    y, logabsdet = rational_quadratic(x, parameters, bins=K, bound=bound, inverse=inverse)
    (slope,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(slope.log(), logabsdet, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize(("dtype", "tiny"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_spline_meets_its_tails_with_slope_one(dtype, tiny, inverse):
    _, parameters = draw(dtype, 8, 2.0)
    edge = torch.tensor([[-B, B]], dtype=dtype)
    ends = torch.cat((edge * (1 - tiny), edge, edge * (1 + tiny), edge * 40), dim=1)
    one = parameters.detach()[:1, :, :1].expand(1, -1, ends.shape[1])
    y, logabsdet = rational_quadratic(ends, one, bins=8, bound=B, inverse=inverse)
    rounding = 64 * torch.finfo(dtype).eps
    torch.testing.assert_close(y, ends, rtol=0, atol=rounding * B)
    # On the bounds and beyond the slope is 1; a step inside it has changed by a step's worth.
    tails = logabsdet[:, 2:]
    torch.testing.assert_close(tails, torch.zeros_like(tails), rtol=0, atol=rounding)
    assert float(logabsdet[:, :2].abs().max()) < rounding + 3e3 * tiny


@pytest.mark.parametrize("inverse", [False, True])
def test_spline_passes_gradcheck(inverse):
    _, parameters = draw(torch.float64, 4, 1.0)
    # One input in each bin and tail, none on a knot, where the second derivative jumps.
    inputs = torch.linspace(-3.7, 3.9, 11, dtype=torch.float64).view(1, -1).requires_grad_()
    parameters = parameters.detach()[:1, :, :11].requires_grad_()
    assert torch.autograd.gradcheck(
        lambda t, p: rational_quadratic(t, p, bins=4, bound=B, inverse=inverse),
        (inputs, parameters),
    )


EXTREMES = {
    "one bin is all": lambda p: p[:, :16].zero_()[:, ::8].fill_(50.0),
    "one bin is none": lambda p: p[:, :16].zero_()[:, ::8].fill_(-50.0),
    "wide and flat, narrow and steep": lambda p: (p[:, 0].fill_(50.0), p[:, 9].fill_(50.0)),
    "huge slopes": lambda p: p[:, 16:].fill_(50.0),
    "no slopes": lambda p: p[:, 16:].fill_(-50.0),
    "slopes that alternate": lambda p: (p[:, 16::2].fill_(50.0), p[:, 17::2].fill_(-50.0)),
    "all equal": lambda p: p.fill_(50.0),
}


@pytest.mark.parametrize("name", EXTREMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_spline_is_invertible_at_the_extremes(dtype, name):
    x, parameters = draw(dtype, 8, 1.0)
    with torch.no_grad():
        EXTREMES[name](parameters)
    y, logabsdet = rational_quadratic(x, parameters, bins=8, bound=B)
    back, back_logabsdet = rational_quadratic(y, parameters, bins=8, bound=B, inverse=True)
    for result in (y + logabsdet, back + back_logabsdet):
        gradients = torch.autograd.grad(result.sum(), (x, parameters), retain_graph=True)
        assert all(tensor.isfinite().all() for tensor in (result, *gradients))
    # In float64 it agrees with nflows; an inverse is as exact as the slope allows.
    eps = torch.finfo(dtype).eps
    tolerance = 64 * eps * B * (1 + (-logabsdet).exp())
    flat = tolerance > 0.1
    assert bool((((back - x).abs() <= tolerance) | flat).all())
    theirs, _ = nflows_spline(x.double(), parameters.double(), 8, inverse=False)
    slack = 64 * eps * B * (1 + logabsdet.exp())
    assert bool(((y - theirs).abs() <= slack).all())


def test_spline_inverts_where_nflows_fails():
    """Rounding makes nflows' discriminant negative or not a number; ours has none of it."""
    generator = torch.Generator().manual_seed(0)
    failures = 0
    for _ in range(40):
        parameters = 8 * torch.randn(1, 23, 4000, generator=generator)
        x = B * (2 * torch.rand(1, 4000, generator=generator) - 1)
        y, _ = rational_quadratic(x, parameters, bins=8, bound=B)
        back, logabsdet = rational_quadratic(y, parameters, bins=8, bound=B, inverse=True)
        assert back.isfinite().all()
        assert logabsdet.isfinite().all()
        try:
            nflows_spline(y, parameters, 8, inverse=True)
        except AssertionError:
            failures += 1
    assert failures > 0


def test_minimum_slope_is_kept():
    _, parameters = draw(torch.float64, 8, 0.0)
    with torch.no_grad():
        parameters[:, 16:] = -50.0
    knots = torch.linspace(-B, B, 9, dtype=torch.float64)[1:-1].expand(2, 7)
    _, logabsdet = rational_quadratic(knots, parameters[..., :7], bins=8, bound=B)
    torch.testing.assert_close(logabsdet.exp(), torch.full_like(logabsdet, MIN_SLOPE))
