"""What `blindcurve` looks at, against torch's own pooling."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from harmbench_methods.blindcurve.features import LocalMoments, window_means


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


def test_local_means_and_variances_are_of_the_foreground_in_nine_pixels():
    generator = torch.Generator().manual_seed(1)
    h = torch.rand(3, 9, 10, generator=generator)
    mask = torch.rand(3, 9, 10, generator=generator) < 0.7
    h *= mask
    local = LocalMoments.of(h, mask)
    windows, inside = (
        F.pad(x, (1, 1, 1, 1)).unfold(1, 3, 1).unfold(2, 3, 1).flatten(3) for x in (h, mask.float())
    )
    count = inside.sum(dim=-1)
    torch.testing.assert_close(local.share, count / 9)
    enough = count > 2
    mean = (windows * inside).sum(dim=-1) / count
    torch.testing.assert_close(local.mean[enough], mean[enough])
    spread = (inside * (windows - mean[..., None]).square()).sum(dim=-1) / count
    torch.testing.assert_close(local.variance[enough], spread[enough].clamp_min(1e-6))
