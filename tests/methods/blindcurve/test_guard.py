"""The guard against scans unlike the target."""

from __future__ import annotations

import torch

from harmbench_methods.blindcurve.guard import Guard, layout, remoteness


def brain(seed):
    axes = [torch.linspace(-1, 1, n) for n in (12, 32, 32)]
    radius = sum(axis**2 for axis in torch.meshgrid(*axes, indexing="ij")).sqrt()
    noise = 0.03 * torch.randn(radius.shape, generator=torch.Generator().manual_seed(seed))
    mask = radius < 1
    return (0.9 - 0.6 * radius + noise).clamp(0.01, 1) * mask, mask


def test_the_guard_distinguishes_the_target_from_another_contrast():
    guard = Guard()
    subjects = torch.stack([layout(*brain(n)) for n in range(4)])
    guard.learn(subjects, torch.randn(4, 5, generator=torch.Generator().manual_seed(0)))
    image, mask = brain(9)
    assert guard.layout_warning(layout(image, mask)) == ""
    inverted = torch.where(mask, 1 - image, 0)
    assert "layout" in guard.layout_warning(layout(inverted, mask))
    assert guard.texture_warning(torch.zeros(5)) == ""
    far = torch.full((5,), 10 * float(guard.greatest_remoteness))
    assert remoteness(far) > guard.greatest_remoteness
    assert "texture" in guard.texture_warning(far)
