"""Batches of slices from one scan set or from several."""

from __future__ import annotations

import pytest
import torch

from harmbench import SliceBatches, torch_generator
from harmbench.training import batches as batches_module
from harmbench.training.batches import memory_budget, slice_reader

CPU = torch.device("cpu")


def test_slices_from_memory_equal_slices_from_disk(target, monkeypatch):
    indices = torch.tensor([5, 0, 23, 5])
    monkeypatch.setattr(batches_module, "_SLICES_PER_READ", 7)
    resident = slice_reader(target, CPU)(indices)
    monkeypatch.setattr(batches_module, "RESIDENT_BYTES", 0)
    assert torch.equal(slice_reader(target, CPU)(indices), resident)
    scans = target.load(range(len(target))).images.flatten(0, 1)
    assert torch.equal(resident, scans[indices])


def test_slices_that_fit_into_a_third_of_the_free_memory_of_a_gpu_are_kept(monkeypatch):
    # Most is in the cache of torch, from an earlier training.
    for name, value in {
        "current_device": 0,
        "mem_get_info": (2**30, 80 * 2**30),
        "memory_allocated": 2**30,
        "memory_reserved": 30 * 2**30,
    }.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, value=value: value)
    assert memory_budget(torch.device("cuda")) == 10 * 2**30


def test_paired_sets_share_indices_and_unpaired_sets_do_not(small_cohort):
    source, target = small_cohort.pairs("domain1", "train")
    options = {"size": 16, "device": CPU}
    flat = [part.load(range(len(part))).images.flatten(0, 1) for part in (source, target)]

    def indices(paired):
        batches = SliceBatches(
            source, target, paired=paired, generator=torch_generator(0, "b"), **options
        )
        drawn = batches.draw()
        return [
            [int((images == x).all(dim=(1, 2)).nonzero()[0]) for x in part]
            for images, part in zip(flat, drawn, strict=True)
        ]

    first, second = indices(paired=True)
    assert first == second
    assert len(set(first)) > 4
    first, second = indices(paired=False)
    assert first != second


def test_empty_sets_and_unequal_pairs_are_rejected(small_cohort, target):
    options = {"size": 2, "device": CPU, "generator": torch.Generator()}
    with pytest.raises(ValueError, match="no slices"):
        SliceBatches(target.subset([]), **options)
    with pytest.raises(ValueError, match="equal lengths"):
        SliceBatches(target, target.subset([0]), paired=True, **options)
