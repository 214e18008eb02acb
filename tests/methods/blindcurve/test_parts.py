"""Features, the networks side by side, the regression and the guard."""

from __future__ import annotations

import math

import pytest
import torch

from harmbench import Grid
from harmbench_methods.blindcurve.features import (
    N_SURROUNDINGS,
    Local,
    Surroundings,
    slice_step,
    textures,
)
from harmbench_methods.blindcurve.guard import Guard, layout, remoteness
from harmbench_methods.blindcurve.network import Networks, Voxels
from harmbench_methods.blindcurve.ridge import Ridge, believed

EDGES = torch.tensor([0.3, 0.5, 0.7])


def noisy(deviation, seed=0):
    generator = torch.Generator().manual_seed(seed)
    levels = torch.tensor([0.2, 0.4, 0.6, 0.8]).repeat_interleave(10)[None, :, None]
    return levels + deviation * torch.randn(6, 40, 20, generator=generator)


def test_textures_tell_the_noise_at_each_intensity():
    mask = torch.ones(6, 40, 20, dtype=torch.bool)
    mask[:, 8:12] = mask[:, 18:22] = mask[:, 28:32] = False  # edges are no noise
    quiet, loud = (
        textures(Local.of(noisy(s) * mask, mask), EDGES).view(4, 4) for s in (0.02, 0.04)
    )
    for moment in (1, 2):
        torch.testing.assert_close(
            loud[moment] - quiet[moment], torch.full((4,), math.log(4)), atol=0.05, rtol=0
        )
    torch.testing.assert_close(loud[3], quiet[3], atol=0.05, rtol=0)


def test_windows_do_not_look_at_the_background():
    mask = torch.zeros(2, 8, 8, dtype=torch.bool)
    mask[:, :4] = True
    local = Local.of(torch.full((2, 8, 8), 0.5) * mask, mask)
    torch.testing.assert_close(local.mean[mask], torch.full((64,), 0.5))
    assert local.variance[mask].max() < 1e-5


@pytest.mark.parametrize("shape", [(50, 36, 44), (5, 12, 13)])
def test_surroundings_lie_in_the_scan(shape):
    grid = Grid("any", shape, (1.2, 2.4, 2.4))
    mask = torch.ones(shape, dtype=torch.bool)
    h = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    edges = torch.linspace(0.1, 0.9, 5)
    step = slice_step(grid)
    found = Surroundings.of(h[::step], mask[::step], edges, grid, shape[0])
    n = -(-shape[0] // step) * (shape[1] // 2) * (shape[2] // 2)
    assert found.features.shape == (n, N_SURROUNDINGS)
    assert found.features.isfinite().all()
    assert found.places.min() > 0
    assert found.places.max() < 1
    assert found.slices.max() < shape[0]


def test_networks_do_not_share_weights():
    networks = Networks(3, 5, 8)
    x = torch.randn(7, 5)
    before = networks(x)
    with torch.no_grad():
        networks.weights[0][1].zero_()
    after = networks(x)
    assert torch.equal(before[0], after[0])
    assert torch.equal(before[2], after[2])
    assert not torch.equal(before[1], after[1])


def test_batches_go_on_from_where_they_were():
    def supply():
        return Voxels(torch.arange(100.0), size=4, generator=torch.Generator().manual_seed(0))

    first = supply()
    first.draw()
    place = first.state_dict()
    wanted = first.draw()[0]
    second = supply()
    second.load_state_dict(place)
    assert torch.equal(second.draw()[0], wanted)


def test_ridge_is_the_mean_of_its_blocks():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, 3, generator=generator)
    y = x @ torch.tensor([[1.0], [-0.5], [0.2]]) + 3
    whole = Ridge.of(x, y, 1, 1e-6)
    torch.testing.assert_close(whole(x), y, atol=1e-3, rtol=0)
    twice = Ridge.of(torch.cat((x, 2 * x), dim=1), y, 2, 1e-6)
    torch.testing.assert_close(twice(torch.cat((x, 2 * x), dim=1)), y, atol=1e-3, rtol=0)
    torch.testing.assert_close(twice.weights[:3], whole.weights / 2, atol=1e-4, rtol=0)


def test_a_high_penalty_says_what_is_expected():
    x = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
    y = torch.arange(10.0)[:, None]
    torch.testing.assert_close(Ridge.of(x, y, 1, 1e9)(x), torch.full((10, 1), 4.5))


def test_small_guesses_are_believed_less():
    guess = torch.tensor([[0.1, 0.1], [10.0, 10.0]])
    size = guess.square().sum(dim=1)
    applied = believed(guess, size, 0.25)
    assert applied[0, 0] < 0.1 * guess[0, 0]
    assert applied[1, 0] > 0.99 * guess[1, 0]
    assert torch.equal(believed(guess, size, 0.0), guess)
    assert torch.equal(believed(torch.zeros(2), torch.zeros(()), 0.0), torch.zeros(2))


def brain(seed):
    axes = [torch.linspace(-1, 1, n) for n in (12, 32, 32)]
    radius = sum(axis**2 for axis in torch.meshgrid(*axes, indexing="ij")).sqrt()
    noise = 0.03 * torch.randn(radius.shape, generator=torch.Generator().manual_seed(seed))
    mask = radius < 1
    return (0.9 - 0.6 * radius + noise).clamp(0.01, 1) * mask, mask


def test_the_guard_knows_the_target_from_another_contrast():
    guard = Guard()
    subjects = torch.stack([layout(*brain(n)) for n in range(4)])
    guard.learn(subjects, torch.randn(4, 5, generator=torch.Generator().manual_seed(0)))
    image, mask = brain(9)
    assert guard.alien(layout(image, mask)) == ""
    inverted = torch.where(mask, 1 - image, 0)
    assert "another contrast" in guard.alien(layout(inverted, mask))
    assert guard.strange(torch.zeros(5)) == ""
    far = torch.full((5,), 10 * float(guard.greatest_remoteness))
    assert remoteness(far) > guard.greatest_remoteness
    assert "quantiles alone" in guard.strange(far)
