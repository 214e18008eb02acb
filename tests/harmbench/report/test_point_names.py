"""Names of points lie on no other name or point where there is a free side."""

from __future__ import annotations

from harmbench.report.point_names import name_positions


def test_a_name_takes_the_first_free_side():
    names = ["far", "first", "second", "third", "lower"]
    x, y = [0.0, 0.9, 0.92, 0.94, 1.0], [0.9, 0.5, 0.5, 0.5, 0.1]
    assert name_positions(names, x, y) == [
        "top center",
        "top center",
        "bottom center",
        "middle right",
        "top center",
    ]


def test_a_name_lies_on_no_marker_above_it():
    # As methods without a parameter: one above the other.
    assert name_positions(["low", "high", "top"], [0, 0, 1], [0.50, 0.52, 1.0]) == [
        "bottom center",
        "top center",
        "top center",
    ]


def test_points_of_equal_values_have_different_sides():
    sides = name_positions(["one", "two"], [1.0, 1.0], [2.0, 2.0])
    assert sides == ["top center", "bottom center"]
    assert name_positions([], [], []) == []
