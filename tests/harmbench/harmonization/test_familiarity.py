"""A scan unlike those that a fit has seen is reported; one of the same scanner is not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from harmbench.data.appearance import appearance
from harmbench.harmonization.familiarity import differences, voxel_differences, warning_of
from harmbench.harmonization.scan import HarmonizedScan
from harmbench.preprocessing.normalization import normalization
from helpers.volumes import template

SPACING = (3.0, 3.0, 3.0)


def inverted(image):
    return np.where(image > 0, image.max() * 1.1 - image, 0)


def thick(image):
    return ndimage.uniform_filter1d(image, 3, axis=0)


def noisy(image):
    return image + 0.1 * np.random.default_rng(2).standard_normal(image.shape) * (image > 0)


def measures(subject, change=lambda image: image):
    """Measures of a subject of one scanner: contrast, gain and noise vary a little."""
    rng = np.random.default_rng(subject)
    image = template()[0][::3, ::3, ::3].transpose(2, 1, 0)
    mask = image > 0.05
    ramp = np.linspace(-1, 1, image.shape[1])[None, :, None]
    image = image ** rng.normal(1, 0.03) * np.exp(rng.normal(0, 0.05) * ramp)
    image = np.where(mask, np.abs(image + rng.normal(0, 0.01, image.shape)) + 1e-3, 0)
    changed = np.where(mask, np.maximum(change(image), 1e-3), 0).astype(np.float32)
    return appearance(normalization("percentile")(changed, mask, ()), mask, SPACING)


@pytest.fixture(scope="module")
def seen():
    return [{"subject": str(i), "appearance": measures(i)} for i in range(8)]


def texts(seen, blind, change, subject=100):
    return " ".join(differences(measures(subject, change), {"blind": blind, "scans": seen}))


def test_other_subjects_of_the_scanner_are_familiar(seen):
    others = [measures(100 + i) for i in range(10)]
    for blind in (False, True):
        known = {"blind": blind, "scans": seen}
        assert sum(bool(differences(other, known)) for other in others) <= 1


@pytest.mark.parametrize(
    ("change", "name", "of_blind"),
    [
        (noisy, "noise", True),
        (thick, "sharpness from slice to slice", True),
        (inverted, "contrast between inner brain and rim", True),
        (lambda image: image**0.5, "intensity", False),
        (lambda image: image**2, "intensity", False),
    ],
    ids=["noise", "thick slices", "inverted", "low contrast", "high contrast"],
)
def test_a_large_difference_is_named(seen, change, name, of_blind):
    assert name in texts(seen, False, change)
    # A blind method harmonises other contrasts, so contrast alone is no reason to warn.
    assert (name in texts(seen, True, change)) == of_blind


def test_a_range_of_seen_values_is_given(seen):
    values = [scan["appearance"]["contrast"] for scan in seen]
    expected = f"(seen: {min(values):.3g} to {max(values):.3g})"
    assert expected in texts(seen, False, inverted)


def test_too_few_subjects_show_no_variation(seen):
    assert texts(seen[:3] * 4, False, inverted) == ""


@pytest.mark.parametrize(
    ("size", "count"),
    [
        ((1, 1, 1), 0),
        ((1.2, 1.05, 1.05), 0),
        ((0.9, 0.9, 3), 1),
        ((0.5, 0.5, 0.5), 2),
        ((2, 2, 2), 2),
    ],
    ids=str,
)
def test_voxel_sizes_beyond_those_seen_are_named(size, count):
    assert len(voxel_differences(size, [(1, 1, 1), (1, 1, 1.25)])) == count
    assert not voxel_differences(size, [])


def test_a_record_without_differences_gives_no_warning():
    record = {"Domain": "north", "Scans": 4, "OfTargetOnly": False, "Differences": []}
    assert warning_of(record) is None
    assert warning_of(None) is None
    text = warning_of({**record, "Differences": ["noise 1", "contrast 2"]})
    assert text == "unlike the scans of 'north' in the fit: noise 1, contrast 2"


def test_differences_are_among_the_reasons_to_inspect_a_result():
    record = {"Domain": "north", "Scans": 4, "OfTargetOnly": False, "Differences": ["noise 1"]}
    result = HarmonizedScan(record={"Flags": ["odd"], "Familiarity": record})
    assert result.warning == "odd; unlike the scans of 'north' in the fit: noise 1"
