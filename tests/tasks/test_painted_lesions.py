"""Painted lesions: their places, their contrast and their size."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from harmbench_tasks.painted_lesions import RADII, draw_lesions, measure, painted
from harmbench_tasks.segmenter import WHITE


@pytest.fixture
def scans(small_cohort):
    return small_cohort.scans("target", "test")


@pytest.fixture
def lesioned(scans):
    scan, lesions = scans.load([0]), draw_lesions(scans, 0, 0)
    change = painted(scans, 0, lesions)
    image = change(scan.images[0], scan.masks[0], torch.arange(scans.grid.shape[0]))
    return scan, lesions, image


def test_lesions_lie_in_white_matter(lesioned):
    scan, lesions, _ = lesioned
    assert [lesion.size for lesion in lesions] == list(RADII)
    assert all(int(scan.labels[0][lesion.centre]) == WHITE for lesion in lesions)


def test_a_lesion_has_the_contrast_of_grey_matter(lesioned, scans):
    scan, lesions, image = lesioned
    large = lesions[0]
    before, after = (
        measure(each, scan.labels[0], large, scans.grid) for each in (scan.images[0], image)
    )
    assert abs(before.contrast) < 0.1
    assert after.contrast == pytest.approx(1, abs=0.15)
    assert after.cnr > 3 > before.cnr
    assert after.volume > before.volume


def test_contrast_does_not_depend_on_the_scale_of_the_image(lesioned, scans):
    scan, lesions, image = lesioned
    one, other = (
        measure(each, scan.labels[0], lesions[0], scans.grid) for each in (image, 0.5 * image + 0.2)
    )
    assert dataclasses.astuple(one) == pytest.approx(dataclasses.astuple(other), rel=1e-4)


def test_saturated_white_matter_has_no_contrast_to_noise(lesioned, scans):
    scan, lesions, _ = lesioned
    saturated = torch.where(scan.labels[0] == WHITE, 1.0, scan.images[0])
    measures = measure(saturated, scan.labels[0], lesions[0], scans.grid)
    assert math.isnan(measures.cnr)
    assert abs(measures.contrast) < 0.1
