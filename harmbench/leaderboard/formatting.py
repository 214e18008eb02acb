"""Short forms of names and titles of axes."""

from __future__ import annotations

import math

from harmbench.leaderboard.table import Board


def short(value: float) -> str:
    """Write a number for a reader.

    Examples
    --------
    >>> short(28.1234), short(0.91234), short(float("inf")), short(1234567.0)
    ('28.12', '0.9123', '∞', '1.23e+06')
    """
    if math.isnan(value):
        return ""
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    if abs(value) >= 1e5 or 0 < abs(value) < 1e-3:
        return f"{value:.3g}"
    return f"{value:.2f}" if abs(value) >= 10 else f"{value:.4f}"


def axis_title(board: Board) -> str:
    """Name the metric with its unit and direction."""
    unit = f" [{board.measure.unit}]" if board.measure.unit else ""
    return f"{board.metric}{unit}, {'higher' if board.higher_is_better else 'lower'} is better"
