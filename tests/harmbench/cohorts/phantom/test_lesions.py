import numpy as np
import pytest
import torch

from harmbench.cohorts.phantom.lesions import draw_lesions, paint_lesions
from harmbench.cohorts.phantom.template import TissueTemplate


def draws(age: float) -> list[int]:
    return [len(draw_lesions(np.random.default_rng(seed), age)) for seed in range(200)]


def test_the_old_have_many_lesions_and_the_young_hardly_any():
    young, middle, old = (draws(age) for age in (25, 55, 85))
    assert np.mean([count == 0 for count in young]) > 0.8
    assert np.mean([count > 0 for count in old]) > 0.85
    assert np.mean(young) < np.mean(middle) < np.mean(old)
    assert max(old) <= 40


def test_lesions_are_in_white_matter_of_both_hemispheres(template):
    lesions = [one for seed in range(60) for one in draw_lesions(np.random.default_rng(seed), 80)]
    white = template.maps[2]
    values = [
        white[tuple(round(c - o) for c, o in zip(one.centre, template.origin, strict=True))]
        for one in lesions
    ]
    assert np.mean(np.array(values) > 128) > 0.85
    assert 0.4 < np.mean([one.centre[1] > 0 for one in lesions]) < 0.6
    assert {one.periventricular for one in lesions} == {True, False}


def test_a_painted_lesion_has_its_volume_and_position():
    template = TissueTemplate(np.zeros((4, 60, 80, 120), np.uint8), (0.0, -40.0, -70.0))
    (lesion, *_) = (
        one for seed in range(50) for one in draw_lesions(np.random.default_rng(seed), 90)
    )
    volume = paint_lesions([lesion], template)
    assert volume.max() == 1
    # The edge is half as strong at its radius.
    expected = 4 / 3 * np.pi * np.prod(lesion.radii)
    assert float(volume.sum()) == pytest.approx(expected, rel=0.3)
    z = (volume.sum((1, 2)) * torch.arange(60)).sum() / volume.sum()
    assert float(z) == pytest.approx(lesion.centre[0], abs=0.6)
    assert paint_lesions([], template).max() == 0
