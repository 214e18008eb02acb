"""The package of the built-in methods registers each under its name."""

from __future__ import annotations

import pytest
import torch

import harmbench_methods
from harmbench_methods.histogram import Histogram
from harmbench_methods.identity import Identity
from harmbench_methods.mean_ratio import MeanRatio
from harmbench_methods.n4_whitestripe import N4WhiteStripe
from harmbench_methods.oracle import Oracle
from harmbench_methods.scale import Scale
from harmbench_tasks.simulated import Bias
from helpers.methods import fitted, scans_with_truth

SIMPLE = [Identity, Oracle, Scale, Histogram, MeanRatio, N4WhiteStripe]


def test_registration() -> None:
    registered = harmbench_methods.register_methods()
    assert "blindharmony" in registered
    for cls in SIMPLE:
        assert registered[cls.name].load() is cls


@pytest.mark.parametrize("cls", SIMPLE)
def test_output_shares_no_memory_with_the_input(cls, small_cohort) -> None:
    data = Bias().setup(small_cohort, 0)
    scans = scans_with_truth(data, [0])
    before, truth = scans.images.clone(), scans.truth.clone()
    fitted(cls, data)(scans).images.fill_(0.5)
    assert torch.equal(scans.images, before)
    assert torch.equal(scans.truth, truth)
