"""The multiscale flow: size, inverse, log-determinant, density."""

from __future__ import annotations

import math

import pytest
import torch

from harmbench import UserError
from harmbench_methods.blindharmony.config import PRESETS, BlindHarmonyConfig
from harmbench_methods.blindharmony.flow import Flow


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


@pytest.mark.parametrize(
    "setting",
    [{"bins": 1}, {"levels": 0}, {"alpha": 2.0}, {"mask_scope": "brain"}, {"micro_batches": 3}],
)
def test_settings_out_of_range_are_refused_by_name(setting):
    with pytest.raises(UserError, match=next(iter(setting))):
        BlindHarmonyConfig(**setting)


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


def test_density_is_the_bases_by_change_of_variables():
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


def test_dequantisation_keeps_to_its_bin_and_is_undone():
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
