"""Versions of scans, and their changes."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from harmbench.data.prepared_volume import grid_volume_affine
from harmbench.data.scan_set import ScanSet
from harmbench_tasks import scan_changes
from harmbench_tasks.faults import CutFieldOfView, Inverted, StrongNoise
from harmbench_tasks.scan_changes import Changes, versions
from harmbench_tasks.simulated import FormulaCurve


def test_versions_have_sessions_of_their_own(small_cohort):
    scans = versions(small_cohort.scans("target", "test"), ["a", "b"])
    assert [(scan.subject, scan.session) for scan in scans.scans][:4] == [
        ("p0", "1a"),
        ("p0", "1b"),
        ("p0", "2a"),
        ("p0", "2b"),
    ]


def test_each_scan_has_its_own_change_and_then_the_shift(small_cohort):
    scans = small_cohort.scans("target", "test").subset([0])
    plain, shift = scans.load([0]), FormulaCurve("gamma", 2.0)
    both = versions(scans, ["a", "b"])
    changes = Changes(scans=both, changes=(None, Inverted()), shift=shift, numbers=(0, 0))
    changed = both.with_transform(changes).load([0, 1])
    assert torch.equal(changed.images[0], plain.images[0] ** 2)
    inside = plain.masks[0]
    assert torch.equal(changed.images[1][inside], (1 - plain.images[0][inside]) ** 2)
    assert bool((changed.images[1][~inside] == 0).all())


def test_digest_covers_changes_and_shift(small_cohort):
    scans = small_cohort.scans("target", "test")
    variants = [
        Changes(scans=scans, changes=(None, Inverted())),
        Changes(scans=scans, changes=(Inverted(), None)),
        Changes(scans=scans, changes=(None, CutFieldOfView(scans.grid))),
        Changes(
            scans=scans,
            changes=(None, Inverted()),
            shift=FormulaCurve("exp"),
            numbers=(0, 1),
        ),
    ]
    assert len({changes.digest for changes in variants}) == len(variants)


@pytest.fixture
def on_slices(small_cohort):
    """Scans of two versions, the second with noise and a shift; their change; and both slices."""
    scans = versions(small_cohort.scans("target", "test").subset([0]), ["a", "b"])
    changes = Changes(
        scans=scans,
        changes=(None, StrongNoise(3)),
        shift=FormulaCurve("gamma", 2.0),
        numbers=(0, 0),
    )
    return scans, changes, scans.load([1]), scans.with_transform(changes).load([1])


def test_a_volume_on_the_voxels_of_the_grid_is_changed_as_the_slices(on_slices):
    scans, changes, before, after = on_slices
    to_index = np.linalg.inv(scans.grid.affine) @ grid_volume_affine(scans.grid)
    image, mask = (array[0].numpy().transpose(1, 2, 0) for array in (before.images, before.masks))
    assert np.array_equal(changes.mask_on_volume(mask, to_index), mask)
    changed = changes.on_volume(image, mask, to_index, 1)
    np.testing.assert_allclose(changed.transpose(2, 0, 1), after.images[0], atol=1e-5)


def test_finer_voxels_have_the_change_and_the_brain_beyond_the_slices_is_left_out(on_slices):
    scans, changes, before, after = on_slices
    S, H, W = scans.grid.shape
    # Twice as many slices and rows, and four slices more at either end.
    to_index = np.array([[0.5, 0, 0, -4], [0, 0.5, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    shape = (2 * S + 15, 2 * H - 1, W)
    image, mask = np.full(shape, 0.5, np.float32), np.ones(shape, bool)
    covered = changes.mask_on_volume(mask, to_index)
    assert covered.any(axis=(1, 2)).tolist() == [6 <= x <= 8 + 2 * S for x in range(shape[0])]
    changed = changes.on_volume(image, covered, to_index, 1)
    added = (after.images - before.images)[0].numpy()
    expected = np.where(before.masks[0], (0.5 + added).clip(0), 0.5)
    np.testing.assert_allclose(changed[8 : 8 + 2 * S : 2, ::2], expected, atol=1e-5)
    assert not changed[:6].any()


def test_a_changed_scan_is_computed_once(on_slices, monkeypatch):
    _, changes, _, after = on_slices
    index = torch.arange(len(after.images[0]))
    monkeypatch.setattr(ScanSet, "load", None)  # to compute it again fails
    again = changes(after.images[0], after.masks[0], torch.ones_like(index), index)
    assert torch.equal(again, after.images[0])


def test_other_processes_receive_the_change_without_scans(on_slices):
    _, changes, _, after = on_slices
    received = pickle.loads(pickle.dumps(changes))
    assert received.digest == changes.digest
    assert len(pickle.dumps(changes)) < after.images.numel()


def test_memory_of_changed_scans_is_bounded(small_cohort, monkeypatch):
    scans = small_cohort.scans("target", "test")
    changes = Changes(scans=scans, changes=(Inverted(),) * len(scans))
    size = 4 * scans.load([0]).images.numel()
    monkeypatch.setattr(scan_changes, "_KEPT_BYTES", 2 * size + 1)
    changed = scans.with_transform(changes)
    first = [changed.load([place]).images for place in range(len(scans))]
    assert len(changes._kept) == 2
    assert torch.equal(changed.load([0]).images, first[0])
