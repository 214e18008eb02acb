"""The figure of the remaining scanner effect against the biology that is preserved."""

from __future__ import annotations

import itertools
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
_CLOSE = 0.12  # share of an axis: names of closer points would lie on each other


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
    is no better than one that is too weak. Only tasks count that all methods have, so that all
    points are means over the same tasks; a control may lack some.

    Parameters
    ----------
    boards
        Of all metrics of a group.
    """
    points = biology_points(boards)
    if not points:
        return None
    below = _names_below(points)
    methods = [point for point in points if not point.control]
    controls = [point for point in points if point.control]
    used = [name for name in SHARES if any(name in point.shares for point in points)]
    lacking = [
        f"{point.label} without {', '.join(missing)}"
        for point in points
        if (missing := [name for name in used if name not in point.shares])
    ]
    return plot(
        [
            _markers(methods, "methods", BLUE, "circle", below),
            _markers(controls, "controls", GREY, "diamond", below),
        ],
        x={"title": title("remaining scanner effect (0 is a rescan)")},
        y={"title": title("preserved biology (1 is all)")},
        caption=(
            "Remaining scanner effect against preserved biology. Left: the site probe cannot "
            "tell harmonised scans from the target's better than rescans. Top: the scores of "
            f"biology ({', '.join(used)}) are as they should be. Means over the tasks that all "
            f"methods have: {', '.join(compared_tasks(boards))}."
            + (f" Not comparable: {'; '.join(lacking)}." if lacking else "")
        ),
        text="; ".join(f"{point.label}: {_hover(point)}" for point in points),
        height=440,
        shapes=[vertical_line(0.0)],
    )


def biology_points(boards: Sequence[Board]) -> list[BiologyPoint]:
    """Return the methods with scores of both a site probe and a task of biology."""
    by_metric = {board.metric: board for board in boards}
    site, labels = by_metric.get(SITE), _compared(boards)
    if site is None:
        return []
    reference = next((row for row in site.rows if row.control == "ceiling"), None)
    points = []
    for row in site.rows:
        if not row.control and row.label not in labels:
            continue
        effect = _mean(
            site, row.label, labels, lambda task, value: abs(value - _chance(reference, task))
        )
        shares = _shares(by_metric, row.label, labels)
        if math.isfinite(effect) and shares:
            points.append(BiologyPoint(row.label, bool(row.control), effect, shares))
    return points


def compared_tasks(boards: Sequence[Board]) -> list[str]:
    """Return the tasks that all methods of the figure have, in order of name."""
    labels = _compared(boards)
    used = [board for board in boards if board.metric == SITE or _share_of(board.metric)]
    return sorted({task for board in used for task in _common(board, labels)})


def _compared(boards: Sequence[Board]) -> set[str]:
    """Return the methods that have a number of the site probe and one of biology."""

    def scored(chosen: Callable[[str], object]) -> set[str]:
        return {
            row.label
            for board in boards
            if chosen(board.metric)
            for row in board.rows
            if not row.control and any(math.isfinite(each.value) for each in row.scores.values())
        }

    return scored(lambda metric: metric == SITE) & scored(_share_of)


def _share_of(metric: str) -> str | None:
    """Return which of the `SHARES` a metric belongs to: the slope is one for each structure."""
    return next((n for n in SHARES if metric == n or metric.startswith(f"{n}_")), None)


def _common(board: Board, labels: set[str]) -> set[str]:
    """Return the tasks on which all of these methods have a number; all tasks without methods."""
    tasks = {task for row in board.rows for task in row.scores}
    for row in board.rows:
        if row.label in labels:
            tasks &= {task for task, each in row.scores.items() if math.isfinite(each.value)}
    return tasks if labels <= {row.label for row in board.rows} else set()


def _chance(reference: Row | None, task: str) -> float:
    """Return the accuracy of a rescan, or 0.5."""
    score = None if reference is None else reference.scores.get(task)
    return 0.5 if score is None or not math.isfinite(score.value) else score.value


def _shares(boards: Mapping[str, Board], label: str, labels: set[str]) -> dict[str, float]:
    """Return the preserved share of each of the `SHARES` of a method, in [0, 1]."""
    shares = {}
    for name in SHARES:
        values = [
            _mean(board, label, labels, lambda _, value: max(0.0, 1 - abs(1 - value)))
            for metric, board in boards.items()
            if _share_of(metric) == name
        ]
        finite = [value for value in values if math.isfinite(value)]
        if finite:
            shares[name] = sum(finite) / len(finite)
    return shares


def _mean(
    board: Board, label: str, labels: set[str], function: Callable[[str, float], float]
) -> float:
    """Return the mean over the common tasks of a function of a value; NaN without a finite one."""
    common = _common(board, labels)
    results = [
        function(task, score.value)
        for row in board.rows
        if row.label == label
        for task, score in row.scores.items()
        if task in common and math.isfinite(score.value)
    ]
    return sum(results) / len(results) if results else math.nan


def _names_below(points: Sequence[BiologyPoint]) -> set[str]:
    """Return the methods with their name below the marker: every other of close neighbours."""
    width = max(point.effect for point in points)  # the axis begins at 0
    shares = [point.preserved for point in points]
    height = max(shares) - min(shares)
    below: set[str] = set()
    ordered = sorted(points, key=lambda point: point.effect)
    for left, right in itertools.pairwise(ordered):
        close = right.effect - left.effect < _CLOSE * width
        level = abs(right.preserved - left.preserved) < _CLOSE * height
        if close and level and left.label not in below:
            below.add(right.label)
    return below


def _markers(
    points: Sequence[BiologyPoint], name: str, colour: str, symbol: str, below: set[str]
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "x": numbers(point.effect for point in points),
        "y": numbers(point.preserved for point in points),
        "text": [escaped(point.label) for point in points],
        "hovertext": [_hover(point) for point in points],
        "mode": "markers+text",
        "textposition": [
            "bottom center" if point.label in below else "top center" for point in points
        ],
        "name": name,
        "marker": {"color": colour, "symbol": symbol, "size": 11},
        "hovertemplate": "%{text}: %{hovertext}<extra></extra>",
    }


def _hover(point: BiologyPoint) -> str:
    shares = ", ".join(f"{name} {number(value)}" for name, value in point.shares.items())
    return f"effect {number(point.effect)}, preserved {number(point.preserved)} ({shares})"
