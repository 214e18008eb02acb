"""Equivalence needs a margin, and an interval within it."""

from __future__ import annotations

import numpy as np
import pytest

from harmbench.statistics.equivalence import equivalent
from harmbench.statistics.max_t import max_t


def test_only_precise_and_small_differences_are_equivalent():
    rng = np.random.default_rng(0)
    base = rng.normal(size=20)
    columns = [base, base + rng.normal(0, 0.05, 20), base + rng.normal(0, 2.0, 20), base + 1.0]
    tests = max_t(np.stack(columns, axis=-1)[:, None])
    result = equivalent(tests, 0.5)[0]
    # Neither pair differs significantly, but only the first is known to differ by little.
    assert not tests.significant()[0, 0, 1:3].any()
    assert result[0].tolist() == [False, True, False, False]
    assert (result == result.T).all()
    assert equivalent(tests, 1.1)[0, 0, 3]


def test_one_subject_shows_no_equivalence():
    assert not equivalent(max_t(np.ones((1, 1, 2))), 0.5).any()


@pytest.mark.parametrize("margin", [0.0, -1.0, float("nan")])
def test_the_margin_is_positive(margin):
    with pytest.raises(ValueError, match="margin"):
        equivalent(max_t(np.ones((3, 1, 2))), margin)
