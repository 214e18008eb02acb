"""Colours of the numbers of a column."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest

from harmbench.report.fields import (
    COLOURS,
    colour_scale,
    estimate_field,
    number_field,
    scale_of,
    score_field,
)
from harmbench.statistics.estimate import Estimate
from helpers.scored_cells import EVIL, GAINS

# MLflow's imports raise deprecation warnings.
pytestmark = pytest.mark.filterwarnings("default")


def test_text_on_the_colours_of_a_column_is_legible_and_both_sides_grow_from_the_paper():
    css = (files("harmbench.report") / "templates" / "report.css").read_text()
    rules = re.findall(r"\.h(\d) \{\s*background: #(\w{6});\s*color: #(\w{6});?\s*\}", css)
    middle = COLOURS // 2
    for steps in (rules[:COLOURS], rules[COLOURS:]):
        assert [int(step) for step, *_ in steps] == list(range(COLOURS))
        paper = _luminance(steps[middle][1])
        far = [abs(_luminance(ground) - paper) for _, ground, _ in steps]
        assert far[: middle + 1] == sorted(far[: middle + 1], reverse=True)
        assert far[middle:] == sorted(far[middle:])
        for _, ground, ink in steps:
            low, high = sorted((_luminance(ground), _luminance(ink)))
            assert (high + 0.05) / (low + 0.05) >= 4.5  # contrast of WCAG 2.2
            # Never grey, except for the paper.
            shares = [int(ground[i : i + 2], 16) for i in (0, 2, 4)]
            assert ground == steps[middle][1] or max(shares) - min(shares) > 20


def _luminance(colour: str) -> float:
    """Return the relative luminance of an sRGB colour, in [0, 1]."""
    shares = np.array([int(colour[i : i + 2], 16) for i in (0, 2, 4)]) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_the_best_of_a_column_has_the_last_colour_and_the_floor_none(group):
    board = group.first
    scale = scale_of(board, "a")
    classes = {
        row.label: score_field(row, row.scores["a"], scale, "").css_class
        for row in board.rows
        if row.label in GAINS
    }
    assert classes["good"] == f"h{COLOURS - 1}"
    assert classes["identity"] == ""
    assert classes["weak"] < classes[EVIL] < classes["good"]


def test_a_method_below_the_floor_is_on_the_other_side_even_if_it_is_the_best():
    middle = COLOURS // 2
    worse = colour_scale([20.0, 24.0], floor=25.0)
    assert worse.step(24.0) == middle - 1
    assert worse.step(20.0) == 0
    # Lower is better, and one method leaves nothing to choose from.
    assert colour_scale([0.3, 0.1], 0.2, higher_is_better=False).step(0.1) == COLOURS - 1
    assert colour_scale([0.3]).step(0.3) == COLOURS - 1


@pytest.mark.parametrize(
    ("value", "key"), [(math.inf, "Infinity"), (-math.inf, "-Infinity"), (0.25, "0.25")]
)
def test_every_column_is_sorted_by_numbers_that_javascript_reads(group, value, key):
    row = group.first.methods[0]
    score = replace(row.scores["a"], value=value)
    fields = [
        number_field(value),
        estimate_field(Estimate(value, value, value, 1)),
        score_field(row, score, None, ""),
    ]
    assert [field.sort for field in fields] == [key] * 3
