"""The figure of the remaining scanner effect against the biology that is preserved."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harmbench.leaderboard.board import Board, Row
from harmbench.leaderboard.formatting import number
from harmbench.report.figure import BLUE, GREY, Plot, escaped, numbers, plot, title, vertical_line

SITE = "site_accuracy"
# Scores that are 1 if all of the biology is preserved.
SHARES = ("age_effect", "order", "atrophy_slope")


@dataclass(frozen=True)
class BiologyPoint:
    """A method: its remaining scanner effect, and the preserved biology by score."""

    label: str
    control: bool
    effect: float
    shares: Mapping[str, float]

    @property
    def preserved(self) -> float:
        """Mean of the scores."""
        return sum(self.shares.values()) / len(self.shares)


def effect_and_biology(boards: Sequence[Board]) -> Plot | None:
    """Draw every method by the scanner effect that it leaves and the biology that it preserves.

    The effect is how far the accuracy of the site probe lies from that of a rescan, or from 0.5
    where no subject was scanned twice, averaged over the sources. Preserved biology is the mean
    of the `SHARES` that exist, each as :math:`1 - |1 - v|`, at least 0: too strong an age effect
    is no better than one that is too weak.

    Parameters
    ----------
    boards
        Of all metrics of a group.
    """
    points = biology_points(boards)
    if not points:
        return None
    methods = [point for point in points if not point.control]
    controls = [point for point in points if point.control]
    used = [name for name in SHARES if any(name in point.shares for point in points)]
    return plot(
        [
            _markers(methods, "methods", BLUE, "circle"),
            _markers(controls, "controls", GREY, "diamond"),
        ],
        x={"title": title("remaining scanner effect (0 is a rescan)")},
        y={"title": title("preserved biology (1 is all)")},
        caption=(
            "Remaining scanner effect against preserved biology. Left: the site probe cannot "
            "tell harmonised scans from the target's better than rescans. Top: the scores of "
            f"biology ({', '.join(used)}) are as they should be."
        ),
        text="; ".join(f"{point.label}: {_hover(point)}" for point in points),
        height=440,
        shapes=[vertical_line(0.0)],
    )


def biology_points(boards: Sequence[Board]) -> list[BiologyPoint]:
    """Return the methods with scores of both a site probe and a task of biology."""
    by_metric = {board.metric: board for board in boards}
    site = by_metric.get(SITE)
    if site is None:
        return []
    reference = next((row for row in site.rows if row.control == "ceiling"), None)
    points = []
    for row in site.rows:
        effect = _mean(site, row.label, lambda task, value: abs(value - _chance(reference, task)))
        shares = _shares(by_metric, row.label)
        if math.isfinite(effect) and shares:
            points.append(BiologyPoint(row.label, bool(row.control), effect, shares))
    return points


def _chance(reference: Row | None, task: str) -> float:
    """Return the accuracy of a rescan, or 0.5."""
    score = None if reference is None else reference.scores.get(task)
    return 0.5 if score is None or not math.isfinite(score.value) else score.value


def _shares(boards: Mapping[str, Board], label: str) -> dict[str, float]:
    """Return the preserved share of each of the `SHARES` of a method, in [0, 1]."""
    shares = {}
    for name in SHARES:
        # The slope is one score for each structure.
        values = [
            _mean(board, label, lambda _, value: max(0.0, 1 - abs(1 - value)))
            for metric, board in boards.items()
            if metric == name or metric.startswith(f"{name}_")
        ]
        finite = [value for value in values if math.isfinite(value)]
        if finite:
            shares[name] = sum(finite) / len(finite)
    return shares


def _mean(board: Board, label: str, function: Callable[[str, float], float]) -> float:
    """Return the mean over tasks of a function of a method's value; NaN without a finite one."""
    results = [
        function(task, score.value)
        for row in board.rows
        if row.label == label
        for task, score in row.scores.items()
        if math.isfinite(score.value)
    ]
    return sum(results) / len(results) if results else math.nan


def _markers(points: Sequence[BiologyPoint], name: str, colour: str, symbol: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "x": numbers(point.effect for point in points),
        "y": numbers(point.preserved for point in points),
        "text": [escaped(point.label) for point in points],
        "hovertext": [_hover(point) for point in points],
        "mode": "markers+text",
        "textposition": "top center",
        "name": name,
        "marker": {"color": colour, "symbol": symbol, "size": 11},
        "hovertemplate": "%{text}: %{hovertext}<extra></extra>",
    }


def _hover(point: BiologyPoint) -> str:
    shares = ", ".join(f"{name} {number(value)}" for name, value in point.shares.items())
    return f"effect {number(point.effect)}, preserved {number(point.preserved)} ({shares})"
