"""Spline and 1x1 convolution, with nflows' layers and autograd as oracles."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nflows import transforms
from nflows.nn.nets import ConvResidualNet
from nflows.transforms.splines import unconstrained_rational_quadratic_spline
from nflows.utils import create_mid_split_binary_mask

from harmbench_methods.blindharmony.layers import ActNorm, LUConv1x1, SplineCoupling
from harmbench_methods.blindharmony.spline import rational_quadratic

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
def test_spline_is_that_of_nflows_in_value_and_gradient(K, spread, inverse):
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
def test_spline_is_that_of_nflows_in_float32(inverse):
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
def test_spline_stays_finite_at_extreme_parameters(dtype, extreme):
    x, parameters = draw(dtype, 8, 1.0)
    with torch.no_grad():
        parameters[:, ::3] = extreme
    for inverse in (False, True):
        y, logabsdet = rational_quadratic(x, parameters, bins=8, bound=B, inverse=inverse)
        gradients = torch.autograd.grad(y.sum() + logabsdet.sum(), (x, parameters))
        for tensor in (y, logabsdet, *gradients):
            assert tensor.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.filterwarnings("ignore:torch.triangular_solve")
def test_convolution_is_that_of_nflows(dtype):
    torch.manual_seed(0)
    theirs = transforms.OneByOneConvolution(8, identity_init=False).to(dtype)
    torch.nn.init.normal_(theirs.bias)
    ours = LUConv1x1(8).to(dtype)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 8, 4, 6, dtype=dtype, requires_grad=True)
    tolerance = {"rtol": 1e-4, "atol": 1e-4} if dtype is torch.float32 else {}
    for mine, other in ((ours, theirs), (ours.inverse, theirs.inverse)):
        y, logabsdet = mine(x)
        y_nflows, logabsdet_nflows = other(x)
        torch.testing.assert_close(y, y_nflows, **tolerance)
        torch.testing.assert_close(logabsdet, logabsdet_nflows, **tolerance)
        weights = torch.randn_like(y)
        (got,) = torch.autograd.grad((y * weights).sum(), x)
        (expected,) = torch.autograd.grad((y_nflows * weights).sum(), x)
        torch.testing.assert_close(got, expected, **tolerance)
    torch.testing.assert_close(ours.inverse(ours(x)[0])[0], x, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("channels", [4, 8])
def test_coupling_is_that_of_nflows(channels):
    torch.manual_seed(0)

    def net(features, parameters):
        return ConvResidualNet(
            features, parameters, hidden_channels=6, num_blocks=2, use_batch_norm=True
        )

    theirs = transforms.PiecewiseRationalQuadraticCouplingTransform(
        create_mid_split_binary_mask(channels), net, num_bins=8, tails="linear", tail_bound=B
    ).double()
    ours = SplineCoupling(channels, hidden=6, blocks=2, bins=8, tail_bound=B).double()
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(3, channels, 6, 4, dtype=torch.float64)
    for mode in (True, False):
        ours.train(mode)
        theirs.train(mode)
        for mine, other in ((ours, theirs), (ours.inverse, theirs.inverse)):
            results = []
            for transform in (mine, other):
                module = ours if transform is mine else theirs
                y, logabsdet = transform(x)
                loss = (y**2).sum() + logabsdet.sum()
                results.append((y, logabsdet, *torch.autograd.grad(loss, module.parameters())))
            for got, expected in zip(*results, strict=True):
                torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)
    # Batch norm's running statistics moved alike.
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value)


def test_actnorm_normalises_its_first_batch_only_and_remembers_that_it_did():
    x = torch.randn(5, 3, 8, 8) * torch.tensor([1.0, 10.0, 0.0])[:, None, None] + 2
    layer = ActNorm(3)
    y, _ = layer(x)
    torch.testing.assert_close(y.mean(dim=(0, 2, 3))[:2], torch.zeros(2), rtol=0, atol=1e-4)
    assert y.isfinite().all()
    torch.testing.assert_close(y.std(dim=(0, 2, 3))[:2], torch.ones(2), rtol=1e-3, atol=0)
    again = ActNorm(3)
    again.load_state_dict(layer.state_dict())
    again.train()
    torch.testing.assert_close(again(x * 3)[0], layer(x * 3)[0])
    assert not torch.allclose(ActNorm(3)(x * 3)[0], layer(x * 3)[0])
