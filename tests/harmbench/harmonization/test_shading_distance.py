"""Another shading than that of the seen scans is reported; the same shading is not."""

from __future__ import annotations

import numpy as np
import pytest

from harmbench.harmonization.familiarity import shading_differences
from harmbench.harmonization.shading_distance import shading_difference

CUBES = 40
PATTERN = 0.1 * np.random.default_rng(5).standard_normal(CUBES)


def scan(seed, pattern=PATTERN):
    """A scan's shading: the scanner's pattern, and what its subject and session add."""
    return list(pattern + 0.03 * np.random.default_rng(seed).standard_normal(CUBES))


SEEN = [scan(i) for i in range(8)]


def test_scans_of_the_same_scanner_are_reported_in_few_cases():
    assert sum(shading_difference(scan(100 + i), SEEN) is not None for i in range(40)) <= 2


def test_a_scan_of_another_scanner_is_reported_with_the_distances_seen():
    text = shading_difference(scan(100, -PATTERN), SEEN)
    assert text.startswith("shading of the bright tissue ")
    assert "(seen: " in text


def test_more_scans_detect_a_smaller_difference():
    other = scan(100, 0.45 * PATTERN)
    assert shading_difference(other, SEEN[:4]) is None
    assert shading_difference(other, [scan(i) for i in range(30)]) is not None


def test_cubes_outside_one_of_the_brains_are_not_compared():
    partial = [[None, *SEEN[0][1:]], *SEEN[1:]]
    assert shading_difference([9.0, *scan(100)[1:]], partial) is None
    assert shading_difference([9.0, *scan(100)[1:]], SEEN) is not None
    assert shading_difference(scan(100), [[None] * CUBES] * 8) is None


@pytest.mark.parametrize("count", [0, 3])
def test_too_few_scans_show_no_variation(count):
    assert shading_difference(scan(100, -PATTERN), SEEN[:count]) is None


def test_equal_scans_are_not_reported():
    assert shading_difference(SEEN[0], [SEEN[0]] * 8) is None


def seen_scans(blind=False, subjects=8):
    scans = [{"subject": str(i % subjects), "shading": SEEN[i]} for i in range(8)]
    return {"blind": blind, "scans": scans}


def test_a_blind_method_and_scans_of_few_subjects_compare_no_shading():
    other = scan(100, -PATTERN)
    assert len(shading_differences(other, seen_scans())) == 1
    assert shading_differences(other, seen_scans(blind=True)) == []
    assert shading_differences(other, seen_scans(subjects=3)) == []


def test_a_fit_that_stores_no_shading_compares_none():
    scans = [{"subject": str(i)} for i in range(8)]
    assert shading_differences(scan(100, -PATTERN), {"blind": False, "scans": scans}) == []
