"""The closed-form gradients of Eq. 1 and Eq. 2 against autograd, and the non-edge mask."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from harmbench_methods.blindharmony.terms import (
    correlation_gradient,
    edge_gradient,
    non_edge_mask,
    sobel,
)


@pytest.fixture
def slices():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(2, 3, 9, 11, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("centred", [False, True])
def test_correlation_gradient_is_autograds(slices, centred):
    x, x_s = slices[0].requires_grad_(), slices[1]
    loss = torch.zeros((), dtype=torch.float64)
    for a, b in zip(x, x_s, strict=True):
        if centred:
            loss = loss - torch.corrcoef(torch.stack((a.flatten(), b.flatten())))[0, 1]
        else:
            loss = loss - torch.cosine_similarity(a.flatten(), b.flatten(), dim=0)
    (expected,) = torch.autograd.grad(loss, x)
    got = correlation_gradient(x.detach(), x_s, centred=centred)
    torch.testing.assert_close(got, expected)


def test_correlation_gradient_of_empty_slices_is_finite(slices):
    nothing = torch.zeros_like(slices[0])
    for x, x_s in ((nothing, slices[0]), (slices[0], nothing), (nothing, nothing)):
        assert correlation_gradient(x, x_s).isfinite().all()


def test_sobel_is_scipys(slices):
    expected = [
        [ndimage.sobel(x, axis=axis, mode="constant") for axis in (1, 0)] for x in slices[0].numpy()
    ]
    np.testing.assert_allclose(sobel(slices[0]).numpy(), expected)


def test_edge_gradient_is_autograds(slices):
    x = slices[0].requires_grad_()
    M = torch.rand(3, 2, 9, 11, generator=torch.Generator().manual_seed(1)) < 0.5
    (expected,) = torch.autograd.grad((sobel(x).abs() * M).sum(), x)
    torch.testing.assert_close(edge_gradient(x.detach(), M), expected)


def test_mask_is_the_flattest_third_of_the_brain():
    generator = torch.Generator().manual_seed(3)
    foreground = torch.zeros(2, 40, 40, dtype=torch.bool)
    foreground[:, 12:28, 12:28] = True  # 16 % of the slice: the rest has no gradient
    x_s = torch.where(foreground, 0.2 + 0.8 * torch.rand(2, 40, 40, generator=generator), 0.0)
    M = non_edge_mask(x_s, foreground)
    assert M.shape == (2, 2, 40, 40)
    assert not (M & ~foreground[:, None]).any()
    share = M.sum(dim=(2, 3)) / foreground.sum(dim=(1, 2))[:, None]
    assert ((share > 0.28) & (share < 0.32)).all()
    # Along x and along y are two different masks.
    assert (M[:, 0] != M[:, 1]).any()


def test_mask_excludes_dark_pixels():
    x_s = torch.full((1, 8, 8), 0.5)
    x_s[0, :, :4] = 0.04
    M = non_edge_mask(x_s, torch.ones(1, 8, 8, dtype=torch.bool), quantile=1.0)
    assert not M[..., :4].any()
    assert M[..., 4:].all()
