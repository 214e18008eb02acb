"""The multiscale flow: size, inverse, log-determinant, density."""

from __future__ import annotations

import copy
import importlib.util
import math

import pytest
import torch

from harmbench import UserError
from harmbench_methods.blindharmony.config import PRESETS, BlindHarmonyConfig
from harmbench_methods.blindharmony.flow.flow import Flow
from harmbench_methods.blindharmony.flow.inference import FrozenFlow
from helpers import ROOT

BENCHMARK = ROOT / "benchmarks" / "flow.py"


def small(height=8, width=12, **settings):
    """A flow with parameters at random and its activation norms initialised."""
    defaults = {"levels": 2, "steps": 2, "hidden": 6, "blocks": 1, "bins": 4}
    torch.manual_seed(0)
    flow = Flow(height, width, BlindHarmonyConfig(**(defaults | settings)))
    flow.train()
    flow.encode(torch.rand(8, height, width) - 0.5)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return flow.eval()


def test_paper_preset_has_the_papers_number_of_parameters():
    flow = Flow(144, 176, PRESETS["paper"])
    assert sum(parameter.numel() for parameter in flow.parameters()) == 14_486_534


def test_slices_that_cannot_be_halved_are_refused_in_one_line():
    with pytest.raises(UserError, match=r"levels=3 .* 72 x 90"):
        Flow(72, 90, BlindHarmonyConfig(levels=3))


@pytest.fixture(scope="module")
def benchmark():
    """The benchmark, which has the same flow of nflows' own layers."""
    spec = importlib.util.spec_from_file_location("benchmark_flow", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def both(benchmark, flow, height=8, width=12):
    """`flow`, and one of nflows' own layers with the same parameters."""
    theirs = benchmark.stock_flow(
        height, width, BlindHarmonyConfig(levels=2, steps=2, hidden=6, blocks=1, bins=4)
    )
    theirs.load_state_dict(flow.state_dict())
    return flow, theirs.to(next(flow.parameters()).dtype).train(flow.training)


@pytest.mark.filterwarnings("ignore:torch.triangular_solve")
@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-9)])
def test_flow_equals_nflows_in_value_and_gradient(benchmark, dtype, tolerance, train):
    x = torch.rand(3, 8, 12, dtype=dtype)
    close = {"rtol": 10 * tolerance, "atol": tolerance}
    results = []
    for flow in both(benchmark, small().to(dtype).train(train)):
        z, logabsdet = flow.encode(x - 0.5)
        loss = flow.bits_per_dimension(x, torch.full_like(x, 0.5)).mean()
        gradients = torch.autograd.grad(loss, flow.parameters())
        flow.eval()
        v, _ = flow.decode(z.detach())
        # As a share of the pixels, as the loss has it.
        results.append((z, logabsdet / flow.dimension, v, loss, *gradients))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, **close)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-11)])
def test_frozen_flow_equals_the_flow_and_does_not_change(dtype, tolerance):
    flow = small().to(dtype)
    v = torch.rand(5, 8, 12, dtype=dtype) - 0.5
    frozen = FrozenFlow(flow.train(), dtype)
    z = frozen.encode(v)
    flow.eval()
    expected, _ = flow.encode(v)
    flat = torch.cat([part.transpose(0, 1).flatten(1) for part in z], dim=1)
    torch.testing.assert_close(flat, expected, rtol=0, atol=tolerance)
    torch.testing.assert_close(
        frozen.decode([0.9 * part for part in z]),
        flow.decode(0.9 * expected)[0],
        rtol=0,
        atol=tolerance,
    )
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter += 1
    with torch.autocast("cpu", torch.bfloat16):
        again = frozen.encode(v)
    assert all(torch.equal(a, b) for a, b in zip(again, z, strict=True))


def test_frozen_flow_can_be_more_precise_than_the_flow():
    flow = small()
    v = torch.rand(5, 8, 12) - 0.5
    z = FrozenFlow(flow, torch.float64).encode(v.double())
    expected, _ = copy.deepcopy(flow).double().encode(v.double())
    flat = torch.cat([part.transpose(0, 1).flatten(1) for part in z], dim=1)
    torch.testing.assert_close(flat, expected, rtol=0, atol=1e-11)


def test_trained_flow_is_inverted_in_float32_and_is_repeatable(benchmark):
    config = BlindHarmonyConfig(levels=2, steps=2, hidden=16, blocks=1)
    x, _ = benchmark.heads(8, 24, 32)

    def trained():
        torch.manual_seed(0)
        flow = Flow(24, 32, config).train()
        optimizer = torch.optim.Adam(flow.parameters(), lr=3e-3)
        before = float(flow.bits_per_dimension(x, torch.full_like(x, 0.5)).mean().detach())
        for _ in range(40):
            benchmark.train_step(flow, optimizer, x)
        after = float(flow.bits_per_dimension(x, torch.full_like(x, 0.5)).mean().detach())
        assert after < before - 1
        return flow.eval()

    flow = trained()
    again = trained().state_dict()
    assert all(torch.equal(value, again[name]) for name, value in flow.state_dict().items())
    frozen = FrozenFlow(flow)
    v, _ = benchmark.heads(20, 24, 32)
    v = v - 0.5
    with torch.no_grad():
        for back in (frozen.decode(frozen.encode(v)), flow.decode(flow.encode(v)[0])[0]):
            assert float((back - v).abs().max()) <= 1e-4


def test_densities_are_float32_under_autocast():
    flow = small().train()
    x = torch.rand(4, 8, 12)
    u = torch.full_like(x, 0.5)
    with torch.autocast("cpu", torch.bfloat16):
        reduced = flow.bits_per_dimension(x, u)
    reduced.mean().backward()
    exact = flow.bits_per_dimension(x, u)
    assert reduced.dtype == torch.float32
    assert all(p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in flow.parameters())
    assert 0 < float((reduced - exact).detach().abs().max()) < 0.1


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-10)])
def test_decode_undoes_encode(dtype, tolerance):
    flow = small().to(dtype)
    v = torch.rand(5, 8, 12, dtype=dtype) - 0.5
    z, logabsdet = flow.encode(v)
    back, back_logabsdet = flow.decode(z)
    assert z.shape == (5, 96)
    torch.testing.assert_close(back, v, rtol=0, atol=tolerance)
    torch.testing.assert_close(back_logabsdet, -logabsdet, rtol=1e-4, atol=10 * tolerance)


def test_logabsdet_is_autograds():
    flow = small(4, 8).double()
    v = torch.rand(3, 4, 8, dtype=torch.float64) - 0.5
    _, logabsdet = flow.encode(v)
    for n in range(3):
        jacobian = torch.autograd.functional.jacobian(
            lambda x: flow.encode(x.view(1, 4, 8))[0][0], v[n].flatten()
        )
        torch.testing.assert_close(logabsdet[n], torch.linalg.slogdet(jacobian).logabsdet)


def test_density_follows_from_the_base_by_change_of_variables():
    flow = small().double()
    v = torch.rand(4, 8, 12, dtype=torch.float64) - 0.5
    z, logabsdet = flow.encode(v)
    normal = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(dim=1)
    torch.testing.assert_close(flow.log_prob(v), normal + logabsdet)


def test_bits_per_dimension_of_a_uniform_density_are_the_bits_of_its_grey_levels():
    flow = small(grey_levels=255)
    # A density of one everywhere on the unit interval knows nothing: eight bits a pixel.
    flow.log_prob = lambda v: torch.zeros(len(v))
    x = torch.rand(3, 8, 12)
    bits = flow.bits_per_dimension(x, torch.rand_like(x))
    torch.testing.assert_close(bits, torch.full((3,), 8.0))


def test_dequantisation_stays_in_its_bin_and_is_invertible():
    flow = small()
    x = torch.tensor([0.0, 0.5, 1.0]).view(1, 1, 3).double()
    for u in (0.0, 0.999):
        noise = torch.full_like(x, u)
        v = flow.dequantize(x, noise)
        assert float(v.min()) >= -0.5
        assert float(v.max()) < 0.5
        torch.testing.assert_close(flow.quantize(v, noise), x)
    step = flow.dequantize(x, torch.ones_like(x)) - flow.dequantize(x, torch.zeros_like(x))
    torch.testing.assert_close(step, torch.full_like(x, 1 / (flow.grey_levels + 1)))


def test_samples_are_images_and_repeatable():
    flow = small()
    first, second = (flow.sample(3, torch.Generator().manual_seed(4)) for _ in range(2))
    assert first.shape == (3, 8, 12)
    assert 0 <= float(first.min()) <= float(first.max()) <= 1
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    cold = flow.sample(3, torch.Generator().manual_seed(4), temperature=0.0)
    torch.testing.assert_close(cold[0], cold[1])
    assert math.isfinite(float(first.sum()))
    assert not torch.allclose(first[0], first[1])


def test_only_our_presets_use_positions():
    assert not PRESETS["paper"].positions
    plain, placed = small(), small(positions=True)
    added = {
        name: value.shape
        for name, value in placed.named_parameters()
        if name not in dict(plain.named_parameters())
    }
    assert all(name.endswith("transform_net.position") for name in added)
    # Two couplings a level, with as many places as that level's squeezed slices have.
    assert sorted(added.values()) == [(6, 6), (6, 6), (24, 6), (24, 6)]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-11)])
def test_frozen_flow_uses_the_positions(dtype, tolerance):
    flow = small(positions=True).to(dtype)
    v = torch.rand(5, 8, 12, dtype=dtype) - 0.5
    expected, _ = flow.encode(v)
    frozen = FrozenFlow(flow, dtype)
    z = frozen.encode(v)
    flat = torch.cat([part.transpose(0, 1).flatten(1) for part in z], dim=1)
    torch.testing.assert_close(flat, expected, rtol=0, atol=tolerance)
    torch.testing.assert_close(frozen.decode(z), v, rtol=0, atol=10 * tolerance)
    # It has a copy, and its own are not written to.
    with torch.no_grad():
        for name, parameter in flow.named_parameters():
            if name.endswith("position"):
                parameter += 1
    assert all(torch.equal(a, b) for a, b in zip(frozen.encode(v), z, strict=True))
    assert float((flow.encode(v)[0] - expected).detach().abs().max()) > 0.01


def test_flow_with_positions_is_invertible_and_has_autograds_logabsdet():
    flow = small(4, 8, positions=True).double()
    v = torch.rand(3, 4, 8, dtype=torch.float64) - 0.5
    z, logabsdet = flow.encode(v)
    back, back_logabsdet = flow.decode(z)
    torch.testing.assert_close(back, v, rtol=0, atol=1e-10)
    torch.testing.assert_close(back_logabsdet, -logabsdet)
    for n in range(3):
        jacobian = torch.autograd.functional.jacobian(
            lambda x: flow.encode(x.view(1, 4, 8))[0][0], v[n].flatten()
        )
        torch.testing.assert_close(logabsdet[n], torch.linalg.slogdet(jacobian).logabsdet)
