"""The floor: scans as they are."""

from __future__ import annotations

import torch

from harmbench_methods.identity import Identity
from harmbench_tasks.simulated import Exp
from helpers.methods import fitted


def test_scans_do_not_change(small_cohort) -> None:
    data = Exp().setup(small_cohort, 0)
    scans = data.test.load([0])
    assert torch.equal(fitted(Identity, data)(scans).images, scans.images)


def test_it_is_the_floor() -> None:
    assert Identity.control == "floor"
