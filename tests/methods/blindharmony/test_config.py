"""Settings of BlindHarmony outside of their range."""

from __future__ import annotations

import math

import pytest

from harmbench import UserError
from harmbench_methods.blindharmony.config import BlindHarmonyConfig


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("bins", 1),
        ("levels", 0),
        ("validation_slices", 0),
        ("learning_rate", 0.0),
        ("learning_rate", -1e-3),
        ("learning_rate", math.nan),
        ("tail_bound", 0.0),
        ("max_gradient_norm", -1.0),
        ("iterations", 0),
        ("beta1", -1.0),
        ("beta2", -1.0),
        ("round_trip", -1.0),
        ("alpha", 2.0),
        ("mask_quantile", -0.1),
    ],
)
def test_settings_out_of_range_are_refused(setting, value):
    with pytest.raises(UserError, match=f"^{setting} must be"):
        BlindHarmonyConfig(**{setting: value})


def test_a_batch_is_divided_into_equal_parts():
    with pytest.raises(UserError, match="^micro_batches must divide batch_size"):
        BlindHarmonyConfig(micro_batches=3)
