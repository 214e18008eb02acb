"""How far a scan is from its truth."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from harmbench.execution.compute.shown_subjects import distance_to_truth


@pytest.fixture
def source(small_cohort):
    return small_cohort.scans("domain1", "test").load([0, 1])


def test_the_distance_is_the_mean_over_the_foreground(source):
    truth = source.with_images(source.images + torch.where(source.masks, 0.25, 9.0))
    assert distance_to_truth(source, truth, 1) == pytest.approx(0.25)
    inside = source.images[1][source.masks[1]]
    assert distance_to_truth(source, None, 1) == pytest.approx(float(inside.mean()))


def test_a_scan_without_foreground_has_no_distance(source):
    assert distance_to_truth(replace(source, masks=source.masks & False), None, 0) == 0
