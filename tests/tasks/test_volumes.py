"""Volumes of tissues, and their agreement."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harmbench.data.scans import Grid
from harmbench_tasks.volumes import Volumes, bias, differences, limits, surface_dice
from helpers import faulty_methods


def test_agreement_by_hand():
    volumes = np.array([[90.0, 110.0], [110, 90], [105, 95]])
    assert differences(volumes).tolist() == pytest.approx([-20, 20, 10])
    assert float(bias(volumes)) == pytest.approx(10 / 3)
    assert float(limits(volumes)) == pytest.approx(1.96 * np.std([-20, 20, 10], ddof=1))


def test_surfaces_agree_within_the_tolerance():
    grid = Grid("small", (12, 12, 12), (1.0, 1.0, 1.0))
    box, moved, far = (torch.zeros(grid.shape, dtype=torch.bool) for _ in range(3))
    box[3:8, 3:8, 3:8] = moved[4:9, 3:8, 3:8] = far[7:12, 7:12, 7:12] = True
    assert surface_dice(box, box, grid) == surface_dice(moved, box, grid) == 1
    assert surface_dice(far, box, grid) < 0.5
    assert surface_dice(torch.zeros_like(box), box, grid) == 0


def test_without_target_scans_labels_are_compared_with(outcome, context, own_cohort, change_table):
    def unpaired(scan):
        return scan | {"paired": False}

    cohort = change_table(own_cohort(), unpaired)
    data = Volumes("domain1").setup(cohort, 0)
    assert data.parameters["comparator"] == "labels"
    numbers = outcome(Volumes("domain1"), faulty_methods.good, context, cohort)
    assert numbers["volume_error"] < 10


def test_the_bounds_are_the_source_and_the_repeat(small_cohort, context):
    task = Volumes("domain1")
    bounds = task.bounds(context(task.setup(small_cohort, 0)))
    assert bounds["repeat on the target's scanner"]["volume_error"].mean < 2
    assert bounds["source as it is"]["volume_error"].mean > 10
