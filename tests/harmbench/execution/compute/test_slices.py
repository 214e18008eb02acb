"""Which subjects and slices every cell keeps, whatever method it is of."""

from __future__ import annotations

import numpy as np
import torch

from harmbench.execution.compute.slices import Slices
from harmbench.store.slices import write_slices


def kept(cohort, changed, *, paired=True):
    """Slices of a method that darkens by half, batch by batch."""
    source, truth = cohort.pairs("domain1", "train")
    slices = Slices()
    for index, subject in enumerate(source.subjects):
        scans = source.load([index])
        true = truth.load([truth.subjects.index(subject)])
        slices.add(scans, scans.with_images(scans.images * changed), true if paired else None)
    return source, truth, slices.arrays(truth)


def test_subjects_are_chosen_by_the_task_and_never_by_the_method(small_cohort):
    source, truth, arrays = kept(small_cohort, 0.5)
    _, _, others = kept(small_cohort, 0.9)
    assert arrays["subjects"].tolist() == others["subjects"].tolist()
    assert np.array_equal(arrays["source"], others["source"])
    distances = []
    for subject in arrays["subjects"]:
        scans = source.load([source.subjects.index(subject)])
        true = truth.load([truth.subjects.index(subject)]).images
        distances.append(float((scans.images - true)[scans.masks].abs().mean()))
    assert distances == sorted(distances)
    assert len(distances) == 3


def test_slices_are_kept_upright_to_a_byte(small_cohort, tmp_path):
    source, _, arrays = kept(small_cohort, 0.5)
    write_slices(tmp_path / "slices.npz", arrays)
    with np.load(tmp_path / "slices.npz") as stored:
        _, H, W = source.grid.shape
        assert stored["harmonized"].shape == (3, len(stored["slices"]), W, H)
        image = source.load([source.subjects.index(stored["subjects"][1])]).images[0]
        expected = torch.rot90(image[list(stored["slices"])] * 0.5, dims=(1, 2)).numpy()
        assert np.abs(stored["harmonized"][1] / 255 - expected).max() <= 0.5 / 255 + 1e-6
        assert stored["positions"].tolist() == [
            source.grid.positions[index] for index in stored["slices"]
        ]


def test_without_a_truth_somebody_of_the_target_domain_is_kept(small_cohort):
    _, truth, arrays = kept(small_cohort, 0.5, paired=False)
    assert "reference" not in arrays
    first = truth.load([0]).images[0, list(arrays["slices"])]
    expected = (torch.rot90(first, dims=(1, 2)) * 255).round().to(torch.uint8).numpy()
    assert np.array_equal(arrays["target"], expected)
