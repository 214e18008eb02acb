"""Features of a voxel's neighbourhood: textures, windows and surroundings."""

from __future__ import annotations

import math

import pytest
import torch

from harmbench import Grid
from harmbench_methods.blindcurve.features import (
    N_SURROUNDINGS,
    LocalMoments,
    Surroundings,
    slice_step,
    textures,
)

EDGES = torch.tensor([0.3, 0.5, 0.7])


def noisy(deviation, seed=0):
    generator = torch.Generator().manual_seed(seed)
    levels = torch.tensor([0.2, 0.4, 0.6, 0.8]).repeat_interleave(10)[None, :, None]
    return levels + deviation * torch.randn(6, 40, 20, generator=generator)


def test_textures_measure_the_noise_at_each_intensity():
    mask = torch.ones(6, 40, 20, dtype=torch.bool)
    mask[:, 8:12] = mask[:, 18:22] = mask[:, 28:32] = False  # edges are no noise
    quiet, loud = (
        textures(LocalMoments.of(noisy(s) * mask, mask), EDGES).view(4, 4) for s in (0.02, 0.04)
    )
    for moment in (1, 2):
        torch.testing.assert_close(
            loud[moment] - quiet[moment], torch.full((4,), math.log(4)), atol=0.05, rtol=0
        )
    torch.testing.assert_close(loud[3], quiet[3], atol=0.05, rtol=0)


def test_windows_ignore_the_background():
    mask = torch.zeros(2, 8, 8, dtype=torch.bool)
    mask[:, :4] = True
    local = LocalMoments.of(torch.full((2, 8, 8), 0.5) * mask, mask)
    torch.testing.assert_close(local.mean[mask], torch.full((64,), 0.5))
    assert local.variance[mask].max() < 1e-5


@pytest.mark.parametrize("shape", [(50, 36, 44), (5, 12, 13)])
def test_surroundings_are_inside_the_scan(shape):
    grid = Grid("any", shape, (1.2, 2.4, 2.4))
    mask = torch.ones(shape, dtype=torch.bool)
    h = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    edges = torch.linspace(0.1, 0.9, 5)
    step = slice_step(grid)
    result = Surroundings.of(h[::step], mask[::step], edges, grid, shape[0])
    n = -(-shape[0] // step) * (shape[1] // 2) * (shape[2] // 2)
    assert result.features.shape == (n, N_SURROUNDINGS)
    assert result.features.isfinite().all()
    assert result.positions.min() > 0
    assert result.positions.max() < 1
    assert result.slices.max() < shape[0]
