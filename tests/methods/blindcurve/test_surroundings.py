"""Features of a voxel's neighbourhood, against torch's own pooling."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from harmbench import Grid
from harmbench_methods.blindcurve.surroundings import (
    N_SURROUNDINGS,
    Surroundings,
    log_local_variance,
    slice_step,
    window_means,
)


@pytest.mark.parametrize("size", [3, 5, 9])
def test_window_means_equal_torchs_pooling(size):
    x = torch.rand(4, 6, 11, 20, generator=torch.Generator().manual_seed(0))
    expected = x[None]
    for axis, side in enumerate(x.shape[1:]):
        window = [1, 1, 1]
        # Six slices have no nine in a row: the greatest odd number of them is five.
        window[axis] = min(size, side - (side + 1) % 2)
        expected = F.avg_pool3d(expected, window, 1, [w // 2 for w in window])
    torch.testing.assert_close(window_means(x, size), expected[0])


def test_local_variances_are_of_the_foreground_in_nine_pixels():
    generator = torch.Generator().manual_seed(1)
    h = torch.rand(3, 9, 10, generator=generator)
    mask = torch.rand(3, 9, 10, generator=generator) < 0.7
    h *= mask
    result = log_local_variance(h, mask).exp()
    windows, inside = (
        F.pad(x, (1, 1, 1, 1)).unfold(1, 3, 1).unfold(2, 3, 1).flatten(3) for x in (h, mask.float())
    )
    count = inside.sum(dim=-1)
    enough = count > 2
    mean = (windows * inside).sum(dim=-1) / count
    spread = (inside * (windows - mean[..., None]).square()).sum(dim=-1) / count
    torch.testing.assert_close(result[enough], spread[enough].clamp_min(1e-6))


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
