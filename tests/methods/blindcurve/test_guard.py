"""The guard against scans unlike the target."""

from __future__ import annotations

import torch

from harmbench_methods.blindcurve.guard import DOUBTFUL, OTHER, layout, likeness, mean_layout


def brain(seed):
    axes = [torch.linspace(-1, 1, n) for n in (12, 32, 32)]
    radius = sum(axis**2 for axis in torch.meshgrid(*axes, indexing="ij")).sqrt()
    noise = 0.03 * torch.randn(radius.shape, generator=torch.Generator().manual_seed(seed))
    mask = radius < 1
    return (0.9 - 0.6 * radius + noise).clamp(0.01, 1) * mask, mask


def test_the_layout_distinguishes_the_target_from_another_contrast():
    target = mean_layout(torch.stack([layout(*brain(n)) for n in range(4)]))
    image, mask = brain(9)
    assert likeness(layout(image, mask), target) > DOUBTFUL
    inverted = torch.where(mask, 1 - image, 0)
    assert likeness(layout(inverted, mask), target) < OTHER


def test_few_common_cells_are_no_likeness():
    a = torch.full((20,), -1.0)
    a[:7] = torch.arange(7.0)
    assert likeness(a, torch.arange(20.0)) == 0.0


def test_a_cell_is_averaged_over_the_scans_with_tissue_in_it():
    layouts = torch.tensor([[0.2, -1.0, -1.0], [0.4, 0.6, -1.0]])
    torch.testing.assert_close(mean_layout(layouts), torch.tensor([0.3, 0.6, -1.0]))
