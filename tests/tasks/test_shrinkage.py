"""A known loss: the volumes of deformed labels."""

from __future__ import annotations

import pytest

from harmbench_tasks.shrinkage import STRUCTURES, amplitudes_of, structures


@pytest.fixture
def labelled(small_cohort):
    scan = small_cohort.scans("target", "test").load([0])
    return scan.labels[0].numpy(), scan.masks[0].numpy(), small_cohort.grid


def test_structures_are_apart(labelled):
    labels, _, grid = labelled
    regions = structures(labels, grid)
    assert list(regions) == list(STRUCTURES)
    assert all(region.any() for name, region in regions.items() if name != "deep")
    assert not (regions["deep"] & regions["cortex"]).any()


def test_the_true_change_is_about_the_loss(labelled):
    labels, mask, grid = labelled
    losses = [dict.fromkeys(STRUCTURES, loss) for loss in (0.0, 5.0, 10.0)]
    still, five, ten = (changes for _, changes in amplitudes_of(labels, mask, grid, losses))
    for name, sign in STRUCTURES.items():
        assert still[name] == pytest.approx(0, abs=1e-3)
        assert -sign * five[name] == pytest.approx(5, abs=2)
        assert -sign * ten[name] == pytest.approx(10, abs=4)
