"""Quantiles, of a whole vector and of masked rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harmbench_methods._quantiles import evenly_spaced_quantiles, masked_quantile, quantiles


def test_quantiles_are_numpys() -> None:
    values = np.random.default_rng(0).random(77)
    levels = np.random.default_rng(1).random(20)
    result = quantiles(torch.from_numpy(values), torch.from_numpy(levels))
    np.testing.assert_allclose(result, np.quantile(values, levels), atol=1e-12)
    result = evenly_spaced_quantiles(torch.from_numpy(values), 33)
    np.testing.assert_allclose(result, np.quantile(values, np.linspace(0, 1, 33)), atol=1e-12)


def test_quantiles_of_one_value_are_that_value() -> None:
    assert evenly_spaced_quantiles(torch.tensor([0.3]), 4).tolist() == pytest.approx([0.3] * 4)


@pytest.mark.parametrize("q", [0.0, 0.3, 1.0])
def test_masked_quantile_is_numpys_over_the_mask(q: float) -> None:
    generator = torch.Generator().manual_seed(2)
    values = torch.randn(4, 50, generator=generator, dtype=torch.float64)
    mask = torch.rand(4, 50, generator=generator) < 0.6
    mask[1] = False
    mask[2] = False
    mask[2, 7] = True
    result = masked_quantile(values, mask, q)[:, 0]
    assert result[1] == torch.inf
    for n in (0, 2, 3):
        expected = np.quantile(values[n][mask[n]].numpy(), q)
        np.testing.assert_allclose(float(result[n]), expected)
