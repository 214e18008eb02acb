"""Shifted scans keep the range that they had: of each slice, or of the volume."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harmbench_tasks.ranges import SliceRange, VolumeRange, restored_range
from harmbench_tasks.simulated import draw_bias
from harmbench_tasks.simulated_scanner import SimulatedScanner


@pytest.fixture
def scans(small_cohort):
    return small_cohort.scans("target", "train")


def percentiles(scans):
    whole = scans.load(range(len(scans)))
    volumes = zip(whole.images, whole.masks, strict=True)
    return [float(np.percentile(image[mask].numpy(), 99.5)) for image, mask in volumes]


def test_a_volume_keeps_its_percentile_and_the_field_along_its_slices(scans):
    shift = draw_bias(scans, 0, "sim-bias", "percentile")
    shifted = scans.with_transform(shift)
    assert percentiles(shifted) == pytest.approx(percentiles(scans), rel=1e-5)
    images = scans.load([0]).images[0]
    changed = shifted.load([0]).images[0]
    # The shift is one factor times curve and field: the slices differ as the field does.
    index = torch.arange(len(images))
    unscaled = shift.unscaled(images, images > 0, torch.zeros_like(index), index)
    inside = (unscaled > 1e-3) & (changed < 1)
    ratio = (changed / unscaled)[inside]
    assert ratio.max() - ratio.min() < 1e-5
    assert changed.max() <= 1


def test_slices_that_were_scaled_one_by_one_keep_their_own_range(scans):
    shifted = scans.with_transform(draw_bias(scans, 0, "sim-bias", "minmax")).load([0]).images
    images = scans.load([0]).images
    torch.testing.assert_close(shifted.amax((-2, -1)), images.amax((-2, -1)))


def test_single_slices_are_shifted_as_within_their_scan(scans):
    task = SimulatedScanner()
    shift = task.draw(scans, 0, labelled=False, normalization="percentile")
    whole = scans.with_transform(shift).load([1]).images[0]
    again = task.draw(scans, 0, labelled=False, normalization="percentile")
    S = len(whole)
    one = scans.with_transform(again).slices(torch.tensor([S + 2]))
    torch.testing.assert_close(one[0], whole[2])
    assert shift.digest == again.digest


def test_the_range_depends_on_the_normalisation_and_is_part_of_the_digest(scans):
    assert isinstance(restored_range(scans, "minmax"), SliceRange)
    assert isinstance(restored_range(scans, "nyul"), VolumeRange)
    digests = {draw_bias(scans, 0, "t", name).digest for name in ("minmax", "percentile")}
    assert len(digests) == 2


def test_an_empty_scan_stays_empty():
    class Empty:
        def load(self, _):
            from harmbench import Scans

            empty = torch.zeros(1, 3, 4, 4)
            return Scans(
                images=empty,
                masks=empty > 0,
                subjects=("p",),
                sessions=("1",),
                positions=torch.zeros(3),
            )

    images = torch.zeros(1, 4, 4)
    kept = VolumeRange(Empty())(images, images, torch.tensor([0]), lambda *slices: slices[0])
    assert torch.equal(kept, images)
