"""The reference line: a repeat on the target scanner."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from harmbench import HarmbenchError, Needs
from harmbench_methods.rescan import Rescan
from harmbench_tasks.domains import Domain
from helpers.methods import fitted


def test_it_returns_the_repeat(small_cohort) -> None:
    data = Domain("domain1").setup(small_cohort, 0)
    repeats = small_cohort.scans("target", "test").load([1]).images
    scans = dataclasses.replace(data.test.load([0]), repeat=repeats)
    output = fitted(Rescan, data)(scans)
    assert torch.equal(output.images, repeats)
    assert output.images is not repeats
    assert not torch.equal(output.images, data.references.load([0]).images)


def test_scans_without_repeats_are_refused(small_cohort) -> None:
    data = Domain("domain1").setup(small_cohort, 0)
    with pytest.raises(HarmbenchError, match="no repeat scans"):
        fitted(Rescan, data)(data.test.load([0]))


def test_it_is_a_control_and_needs_repeats() -> None:
    assert Rescan.control == "ceiling"
    assert Rescan.needs is Needs.REPEAT
    assert not Rescan.learns()
