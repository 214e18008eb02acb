"""The discrepancy of features."""

from __future__ import annotations

import numpy as np
import pytest

from harmbench_tasks.tissue_features import discrepancy


def test_equal_distributions_have_no_discrepancy_on_average():
    random = np.random.default_rng(0)
    values = [discrepancy(random.normal(size=(10, 3)), random.normal(size=(12, 3)))
              for _ in range(200)]  # fmt: skip
    assert np.mean(values) == pytest.approx(0, abs=0.02)


def test_it_grows_with_the_distance_and_not_with_the_unit():
    random = np.random.default_rng(1)
    first, second = random.normal(size=(10, 3)), random.normal(size=(12, 3))
    near, far = (discrepancy(first + by, second) for by in (0.5, 3.0))
    assert near < far
    assert discrepancy(7 * (first + 3), 7 * second) == pytest.approx(far)
