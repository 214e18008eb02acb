"""The influence of a subject is the change of the mean without it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harmbench.statistics.influence import influence


def test_influence_by_leaving_out():
    differences = np.array([1.0, math.nan, 4.0, -2.0, 0.5])
    result = influence(differences)
    for i, value in enumerate(differences):
        expected = np.nanmean(np.delete(differences, i)) - np.nanmean(differences)
        assert result[i] == pytest.approx(math.nan if math.isnan(value) else expected, nan_ok=True)


@pytest.mark.parametrize("differences", [[], [3.0], [math.nan, 3.0]])
def test_a_single_subject_has_no_influence(differences):
    result = influence(np.array(differences))
    assert result.shape == (len(differences),)
    assert np.isnan(result).all()
