"""Tissues that are measured once, and the discrepancy of features."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harmbench.data.scans import Grid
from harmbench_tasks.segmentation_network import SegmenterConfig
from harmbench_tasks.simulated import FormulaCurve
from harmbench_tasks.tissue_features import (
    discrepancy,
    features,
    measured_tissues,
    volumes_in,
    volumes_of_all,
)
from harmbench_tasks.tissue_segmenter import TissueSegmenter


class Counted(TissueSegmenter):
    """Counts the scans that it segments."""

    count = 0

    def segmented(self, scans):
        self.count += len(scans)
        return super().segmented(scans)


@pytest.fixture
def segmenter(small_cohort):
    return Counted(small_cohort.grid, SegmenterConfig(width=2, levels=2, units=1)).eval()


def test_a_scan_is_measured_once_by_a_network(small_cohort, segmenter):
    scans = small_cohort.scans("target", "test")
    first = measured_tissues(segmenter, scans)
    assert segmenter.count == len(scans)
    for place, one in enumerate(first):
        alone = features(segmenter, scans.load([place]), scans.grid)[0]
        assert one.features.tolist() == alone.tolist()
    segmenter.count = 0
    again = volumes_of_all(segmenter, scans.subset([1, 0]))
    assert again.tolist() == [first[1].volumes.tolist(), first[0].volumes.tolist()]
    assert segmenter.count == 0


def test_another_network_and_shifted_scans_are_measured_anew(small_cohort, segmenter):
    scans = small_cohort.scans("target", "test").subset([0])
    before = measured_tissues(segmenter, scans)[0]
    shifted = measured_tissues(segmenter, scans.with_transform(FormulaCurve("gamma", 2.0)))[0]
    assert shifted.features.tolist() != before.features.tolist()
    with torch.no_grad():
        next(segmenter.parameters()).add_(0.5)
    assert measured_tissues(segmenter, scans)[0].features.tolist() != before.features.tolist()
    assert segmenter.count == 3


def test_volumes_of_labels_are_in_millilitres():
    grid = Grid("small", (12, 12, 12), (1.0, 1.0, 1.0))
    box = torch.zeros(grid.shape, dtype=torch.uint8)
    box[3:8, 3:8, 3:8] = 3
    assert volumes_in(box, grid).tolist() == [0, 0, 0.125]


def test_equal_distributions_have_no_discrepancy_on_average():
    random = np.random.default_rng(0)
    values = [
        discrepancy(random.normal(size=(10, 3)), random.normal(size=(12, 3))) for _ in range(200)
    ]
    assert np.mean(values) == pytest.approx(0, abs=0.02)


def test_it_grows_with_the_distance_and_not_with_the_unit():
    random = np.random.default_rng(1)
    first, second = random.normal(size=(10, 3)), random.normal(size=(12, 3))
    near, far = (discrepancy(first + by, second) for by in (0.5, 3.0))
    assert near < far
    assert discrepancy(7 * (first + 3), 7 * second) == pytest.approx(far)
