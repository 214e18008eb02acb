"""Enlarged ventricles: their volume, and what stays."""

from __future__ import annotations

import numpy as np
import torch

from harmbench_tasks.deformation import LabelledScan
from harmbench_tasks.enlarged_ventricles import EnlargedVentricles, ventricles


def fluid_volume(image, small_cohort):
    """Return the ml of fluid in the middle of a target scan of the tiny cohort."""
    middle = image[:, 8:24, 12:36]
    return int((middle < 0.35).sum()) * float(np.prod(small_cohort.grid.spacing)) / 1000


def enlarged(small_cohort, volume):
    scans = small_cohort.scans("target", "test")
    scan = scans.load([0])
    change = EnlargedVentricles(LabelledScan(scans, scans, 0), volume)
    return scan, change(scan.images[0], scan.masks[0], torch.arange(len(scan.images[0])))


def test_ventricles_have_about_the_volume(small_cohort):
    scan, changed = enlarged(small_cohort, 60.0)
    _, larger = enlarged(small_cohort, 90.0)
    volumes = [fluid_volume(image, small_cohort) for image in (scan.images[0], changed, larger)]
    # Voxels of 160 mm3 that are fluid in part count.
    assert volumes[0] < 40
    assert 50 < volumes[1] < 85
    assert 80 < volumes[2] < 125
    assert bool((changed[~scan.masks[0]] == 0).all())


def test_larger_ventricles_stay(small_cohort):
    scan, changed = enlarged(small_cohort, 1.0)
    assert torch.equal(changed, scan.images[0])


def test_some_slices_are_those_of_the_whole_scan(small_cohort):
    scan, changed = enlarged(small_cohort, 60.0)
    scans = small_cohort.scans("target", "test")
    change = EnlargedVentricles(LabelledScan(scans, scans, 0), 60.0)
    index = torch.tensor([4, 2])
    assert torch.equal(change(scan.images[0][index], scan.masks[0][index], index), changed[index])


def test_fluid_outside_the_middle_is_no_ventricle(small_cohort):
    labels = small_cohort.scans("target", "test").load([0]).labels[0].numpy()
    region = ventricles(labels, small_cohort.grid)
    assert region[:, 14:18, 20:28].any()
    assert not region[:, :4].any()  # between the brain and the skull
