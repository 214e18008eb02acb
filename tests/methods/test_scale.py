"""Scaling to the mean norms of the target."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harmbench.testing.method_stack_checks import longer_stack
from harmbench_methods.identity import Identity
from harmbench_methods.scale import Scale
from harmbench_tasks.simulated import Exp, Gamma, Log
from helpers.methods import fitted, mean_psnr


def test_scale_reaches_the_mean_norms(small_cohort) -> None:
    data = Gamma(0.7).setup(small_cohort, 0)
    method = fitted(Scale, data)
    train = data.target.load(range(len(data.target))).images
    expected = np.linalg.norm(train.double().numpy(), axis=(-2, -1)).mean(0)
    np.testing.assert_allclose(method.norms.numpy(), expected, rtol=1e-6)
    # Far from 1 nothing is clipped.
    scans = data.test.load([0, 1, 2])
    output = method(scans.with_images(0.01 + 0.1 * scans.images)).images
    np.testing.assert_allclose(
        torch.linalg.vector_norm(output, dim=(-2, -1)).numpy(), np.tile(expected, (3, 1)), rtol=2e-2
    )


def test_slices_beyond_the_grid_take_the_factor_of_the_nearest_slice(small_cohort) -> None:
    data = Gamma(0.7).setup(small_cohort, 0)
    method, scans = fitted(Scale, data), data.test.load([0, 1])
    scans = scans.with_images(0.1 * scans.images)
    stack = longer_stack(scans, method.grid)
    ratio = method(stack).images.amax(dim=(2, 3)) / stack.images.amax(dim=(2, 3))
    torch.testing.assert_close(ratio[:, 0], ratio[:, 1])
    torch.testing.assert_close(ratio[:, -2], ratio[:, -3])
    assert not torch.allclose(ratio[:, 1], ratio[:, 2])


@pytest.mark.parametrize("task", [Exp(), Log(), Gamma(0.7), Gamma(1.5)], ids=lambda t: t.name)
def test_it_gains_over_unchanged_scans(task, small_cohort) -> None:
    data = task.setup(small_cohort, 0)
    assert mean_psnr(fitted(Scale, data), data) > mean_psnr(fitted(Identity, data), data)


def test_empty_scans_do_not_change(small_cohort) -> None:
    data = Exp().setup(small_cohort, 0)
    scans = data.test.load([0, 1])
    scans.images[0] = 0
    scans.masks[0] = False
    output = fitted(Scale, data)(scans).images
    assert (output[0] == 0).all()
    assert torch.isfinite(output).all()
    assert output[1].max() > 0.5
