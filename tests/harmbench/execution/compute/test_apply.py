"""Applying a method: what it receives, and in which masks its answer is scored."""

from __future__ import annotations

import torch

from harmbench.data.scans import GRIDS, Scans
from harmbench.execution.compute.apply import harmonized_by
from harmbench_methods.identity import Identity
from harmbench_methods.rescan import Rescan


def scans(mask):
    images = torch.where(mask, 0.5, 0.0)
    positions = torch.arange(mask.shape[1], dtype=torch.float32)
    return Scans(images=images, masks=mask, subjects=("p",), sessions=("1",), positions=positions)


def masks():
    own = torch.zeros(1, 2, 4, 4, dtype=torch.bool)
    own[..., :3] = True
    return own, own.roll(1, dims=-1)


def test_a_rescan_is_not_scored_outside_its_own_mask():
    source, repeat = map(scans, masks())
    harmonized = harmonized_by(Rescan(GRIDS["quick"]), source, repeat, 0, torch.device("cpu"))
    assert torch.equal(harmonized.images, repeat.images)
    assert torch.equal(harmonized.masks, source.masks & repeat.masks)
    assert (harmonized.images[harmonized.masks] == 0.5).all()


def test_a_method_is_scored_in_the_masks_of_the_source():
    source, _ = map(scans, masks())
    harmonized = harmonized_by(Identity(GRIDS["quick"]), source, None, 0, torch.device("cpu"))
    assert torch.equal(harmonized.masks, source.masks)
