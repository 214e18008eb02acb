"""Similarity of two scans of one brain, and of two brains."""

from __future__ import annotations

import numpy as np
import pytest

from harmbench.cohorts.study.same_brain import SAME_BRAIN, similarity
from harmbench.data.scans import Grid
from harmbench.testing.tiny import brain

GRID = Grid("test", (12, 48, 60), (4.0, 3.0, 3.0))


def scan(subject: str, domain: str = "target", session: str = "1"):
    image, mask, _ = brain(GRID, subject, session, domain)
    return image, mask


@pytest.mark.parametrize("domain", ["target", "domain1", "north"])
def test_scans_of_one_subject_are_alike_whatever_the_scanner(domain):
    for subject in ("p0", "p1", "p2"):
        alike = similarity(*scan(subject), *scan(subject, domain, "2"), GRID.spacing)
        assert SAME_BRAIN < alike <= 1


@pytest.mark.parametrize("domain", ["target", "domain1", "north"])
def test_scans_of_different_subjects_are_not_alike(domain):
    subjects = [f"p{number}" for number in range(4)]
    for number, subject in enumerate(subjects):
        for other in subjects[:number]:
            assert similarity(*scan(subject), *scan(other, domain), GRID.spacing) < SAME_BRAIN


def test_contrast_and_bias_do_not_matter():
    image, mask = scan("p0")
    bias = np.linspace(0.8, 1.2, image.shape[2], dtype=np.float32)
    changed = np.where(mask, 0.2 + 0.5 * image * bias, 0).astype(np.float32)
    assert similarity(image, mask, changed, mask, GRID.spacing) > 0.95


def test_without_shared_voxels_or_contrast_there_is_no_similarity():
    image, mask = scan("p0")
    assert similarity(image, mask, image, np.zeros_like(mask), GRID.spacing) == 0
    assert similarity(image, mask, np.zeros_like(image), mask, GRID.spacing) == 0
