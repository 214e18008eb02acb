"""Histogram matching to the mean quantiles of the target."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harmbench import UserError
from harmbench_methods.histogram import Histogram, HistogramConfig, interpolate
from harmbench_methods.identity import Identity
from harmbench_tasks.domains import Domain
from harmbench_tasks.simulated import Exp, Gamma, Log
from helpers.methods import fitted, mean_psnr


def test_histogram_changes_only_the_foreground(small_cohort) -> None:
    data = Exp().setup(small_cohort, 0)
    scans = data.test.load([0])
    lit = scans.with_images(torch.where(scans.masks, scans.images, 0.25))
    method = fitted(Histogram, data)
    output = method(lit).images
    assert (output[~scans.masks] == 0.25).all()
    assert torch.equal(output[scans.masks], method(scans).images[scans.masks])


def test_histogram_gains_on_another_scanner(small_cohort) -> None:
    data = Domain("domain1").setup(small_cohort, 0)
    assert mean_psnr(fitted(Histogram, data), data) > mean_psnr(fitted(Identity, data), data) + 3


def test_histogram_does_not_change_its_own_population(small_cohort) -> None:
    data = Exp().setup(small_cohort, 0)
    one = dataclasses.replace(data, target=data.target.subset([1]))
    scans = one.target.load([0])
    output = fitted(Histogram, one)(scans).images
    torch.testing.assert_close(output, scans.images, atol=1e-5, rtol=0)


def test_histogram_undoes_any_curve_equally(small_cohort) -> None:
    outputs = []
    for task in (Exp(), Log(), Gamma(0.7)):
        data = task.setup(small_cohort, 0)
        outputs.append(fitted(Histogram, data)(data.test.load([0])).images)
    for first, second in pairwise(outputs):
        # The inputs differ only by a curve, and the method uses only the order of values.
        assert (first - second).abs().mean() < 2e-3


def test_histogram_knots_are_the_mean_quantiles(small_cohort) -> None:
    data = Exp().setup(small_cohort, 0)
    method = fitted(Histogram, data)
    everybody = data.target.load(range(len(data.target)))
    levels = np.linspace(0, 1, 1001)
    expected = np.mean(
        [
            np.quantile(i[m].numpy(), levels)
            for i, m in zip(everybody.images, everybody.masks, strict=True)
        ],
        0,
    )
    np.testing.assert_allclose(method.knots.numpy(), expected, atol=1e-6)
    assert Histogram(data.target.grid, HistogramConfig(quantiles=17)).knots.shape == (17,)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 30))
def test_interpolation_is_numpys_between_distinct_knots(seed: int, K: int) -> None:
    random = np.random.default_rng(seed)
    source, target = np.cumsum(random.random((2, K)) + 1e-3, axis=1)
    x = np.concatenate([random.random(50) * (source[-1] + 2) - 1, source])
    result = interpolate(*(torch.from_numpy(a) for a in (x, source, target)))
    np.testing.assert_allclose(result, np.interp(x, source, target), atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_interpolation_keeps_order_over_equal_knots(seed: int) -> None:
    random = np.random.default_rng(seed)
    source = torch.from_numpy(np.sort(random.integers(0, 5, 12) / 4))
    target = torch.from_numpy(np.sort(random.random(12)))
    x = torch.linspace(-0.5, 1.5, 81, dtype=torch.float64)
    result = interpolate(x, source, target)
    assert (result.diff() >= -1e-12).all()
    assert result.min() >= target[0]
    assert result.max() <= target[-1]


def test_equal_knots_map_to_the_middle() -> None:
    source = torch.tensor([0.0, 0.5, 0.5, 0.5, 1.0])
    target = torch.tensor([0.0, 0.2, 0.5, 0.4 + 0.2, 1.0])
    result = interpolate(torch.tensor([0.25, 0.5, 0.75]), source, target)
    torch.testing.assert_close(result, torch.tensor([0.1, 0.4, 0.8]))


@pytest.mark.parametrize("task", [Exp(), Log(), Gamma(0.7), Gamma(1.5)], ids=lambda t: t.name)
def test_it_gains_over_unchanged_scans(task, small_cohort) -> None:
    data = task.setup(small_cohort, 0)
    assert mean_psnr(fitted(Histogram, data), data) > mean_psnr(fitted(Identity, data), data) + 6


@pytest.mark.parametrize("quantiles", [-1, 0, 1])
def test_a_curve_needs_two_knots(quantiles) -> None:
    with pytest.raises(UserError, match="quantiles must be at least 2"):
        HistogramConfig(quantiles=quantiles)


def test_empty_scans_do_not_change(small_cohort) -> None:
    data = Exp().setup(small_cohort, 0)
    scans = data.test.load([0, 1])
    scans.images[0] = 0
    scans.masks[0] = False
    output = fitted(Histogram, data)(scans).images
    assert (output[0] == 0).all()
    assert torch.isfinite(output).all()
    assert output[1].max() > 0.5
