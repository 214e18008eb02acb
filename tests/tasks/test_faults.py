"""Unusual scans: what each fault does to the image."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harmbench_tasks.faults import (
    NOISE,
    CutFieldOfView,
    Motion,
    StrongNoise,
    cavity_of,
    draw_cavity,
    draw_motion,
)


@pytest.fixture
def scan(small_cohort):
    return small_cohort.scans("target", "test").load([0])


def applied(change, scan):
    index = torch.arange(scan.images.shape[1])
    return change(scan.images[0], scan.masks[0], index)


def test_a_cavity_is_fluid_inside_the_brain(small_cohort, scan):
    scans = small_cohort.scans("target", "test")
    centre, radius = draw_cavity(scans, 0, 0)
    assert bool(scan.masks[0][centre])
    cavity = cavity_of(scans, 0, centre, radius)
    changed = applied(cavity, scan)
    assert float(changed[centre]) == pytest.approx(cavity.level)
    away = scan.images[0] != changed
    assert 0 < int(away.sum()) < int(scan.masks.sum()) / 3
    # The same subject has it in the same place on another scanner.
    other = small_cohort.pairs("domain1", "test")[0]
    place = other.subjects.index(scan.subjects[0])
    assert draw_cavity(other, place, 0)[1] == radius


def test_noise_has_its_standard_deviation_where_the_signal_is_strong(scan):
    changed = applied(StrongNoise(1), scan)
    middle = scan.masks[0] & (scan.images[0] > 0.4) & (scan.images[0] < 0.6)
    assert float((changed - scan.images[0])[middle].std()) == pytest.approx(NOISE, rel=0.15)
    assert bool((changed[~scan.masks[0]] == 0).all())


def test_a_head_that_does_not_move_has_no_artefact(scan, small_cohort):
    still = Motion((0.0, 0.3), (0.0, 0.0), small_cohort.grid)
    assert applied(still, scan).numpy() == pytest.approx(scan.images[0].numpy(), abs=1e-6)


def test_motion_keeps_the_head_in_place_and_changes_the_image(scan, small_cohort):
    motion = draw_motion(small_cohort.scans("target", "test"), 0, 0)
    middle = np.searchsorted(motion.starts, 0.5) - 1
    assert motion.shifts[middle] == 0  # most of the signal lies at the centre of k-space
    changed = applied(motion, scan)
    assert float((changed - scan.images[0]).abs().max()) > 0.02


def test_a_cut_field_of_view_lacks_the_uppermost_slices(scan, small_cohort):
    changed = applied(CutFieldOfView(small_cohort.grid), scan)
    assert bool((changed[4:] == 0).all())
    assert torch.equal(changed[:4], scan.images[0][:4])
