"""The figure of the remaining scanner effect against the biology that is preserved."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harmbench.leaderboard.board import Board
from harmbench.leaderboard.formatting import number
from harmbench.report.figure import BLUE, GREY, Plot, escaped, numbers, plot, title, vertical_line
from harmbench.report.point_names import name_positions

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
    is no better than one that is too weak. Only tasks count that all methods have, so that all
    points are means over the same tasks; a control may lack some.

    Parameters
    ----------
    boards
        Of all metrics of a group.
    """
    compared = _compared(boards)
    points = _points(compared)
    if not points:
        return None
    sides = name_positions(
        [point.label for point in points],
        [point.effect for point in points],
        [point.preserved for point in points],
    )
    positions = dict(zip((point.label for point in points), sides, strict=True))
    methods = [point for point in points if not point.control]
    controls = [point for point in points if point.control]
    used = [name for name in SHARES if any(name in point.shares for point in points)]
    lacking = [
        f"{point.label} without {', '.join(missing)}"
        for point in points
        if (missing := [name for name in used if name not in point.shares])
    ]
    tasks = sorted(set().union(*compared.tasks.values()))
    no_effect = _no_effect(compared)
    return plot(
        [
            _markers(methods, "methods", BLUE, "circle", positions),
            _markers(controls, "controls", GREY, "diamond", positions),
        ],
        x={"title": title(f"remaining scanner effect (0 is {no_effect})")},
        y={"title": title("preserved biology (1 is all)")},
        caption=(
            "Remaining scanner effect against preserved biology. Left: the site probe cannot "
            f"tell harmonised scans from the target's better than {no_effect}. Top: the scores of "
            f"biology ({', '.join(used)}) are as they should be. Means over the tasks that all "
            f"methods have: {', '.join(tasks)}."
            + (f" Not comparable: {'; '.join(lacking)}." if lacking else "")
        ),
        text="; ".join(f"{point.label}: {_hover(point)}" for point in points),
        height=440,
        shapes=[vertical_line(0.0)],
    )


def biology_points(boards: Sequence[Board]) -> list[BiologyPoint]:
    """Return the methods with scores of both a site probe and a task of biology."""
    return _points(_compared(boards))


@dataclass(frozen=True)
class _Compared:
    """The boards of the figure, with the methods and tasks that all its points have.

    Attributes
    ----------
    boards
        Of the site probe and of the scores of biology, by metric.
    labels
        Methods that have a number of both.
    tasks
        By metric, the tasks on which all of these methods have a number.
    """

    boards: Mapping[str, Board]
    labels: frozenset[str]
    tasks: Mapping[str, frozenset[str]]


def _compared(boards: Sequence[Board]) -> _Compared:
    """Return the methods and the tasks that the figure compares."""
    used = {each.metric: each for each in boards if is_compared(each.metric)}
    scored = {metric: _scored(board) for metric, board in used.items()}
    of_site = scored.get(SITE, set())
    of_biology = {label for metric in used if metric != SITE for label in scored[metric]}
    labels = frozenset(of_site & of_biology)
    tasks = {metric: _common(board, labels) for metric, board in used.items()}
    return _Compared(used, labels, tasks)


def _scored(board: Board) -> set[str]:
    """Return the methods that have a number on the board, without controls."""
    return {
        row.label
        for row in board.rows
        if not row.control and any(math.isfinite(each.value) for each in row.scores.values())
    }


def _points(compared: _Compared) -> list[BiologyPoint]:
    site = compared.boards.get(SITE)
    if site is None:
        return []

    def effect(task: str, value: float) -> float:
        reference = _accuracy_of_rescan(site, task)
        return abs(value - (0.5 if math.isnan(reference) else reference))

    points = []
    for row in site.rows:
        if not row.control and row.label not in compared.labels:
            continue
        remaining = _mean(compared, SITE, row.label, effect)
        shares = _shares(compared, row.label)
        if math.isfinite(remaining) and shares:
            points.append(BiologyPoint(row.label, bool(row.control), remaining, shares))
    return points


def is_compared(metric: str) -> bool:
    """Whether the figure shows a metric."""
    return metric == SITE or _share_of(metric) is not None


def _share_of(metric: str) -> str | None:
    """Return which of the `SHARES` a metric belongs to: the slope is one for each structure."""
    return next((n for n in SHARES if metric == n or metric.startswith(f"{n}_")), None)


def _common(board: Board, labels: frozenset[str]) -> frozenset[str]:
    """Return the tasks on which all of these methods have a number; all tasks without methods."""
    tasks = {task for row in board.rows for task in row.scores}
    for row in board.rows:
        if row.label in labels:
            tasks &= {task for task, each in row.scores.items() if math.isfinite(each.value)}
    return frozenset(tasks if labels <= {row.label for row in board.rows} else ())


def _accuracy_of_rescan(site: Board, task: str) -> float:
    """Return the accuracy of the site probe on rescans; NaN where there is none."""
    reference = next((row for row in site.rows if row.control == "ceiling"), None)
    score = None if reference is None else reference.scores.get(task)
    return score.value if score is not None and math.isfinite(score.value) else math.nan


def _no_effect(compared: _Compared) -> str:
    """Return in words what a scanner effect of 0 is, on the tasks that are compared."""
    site = compared.boards[SITE]
    accuracies = [_accuracy_of_rescan(site, task) for task in compared.tasks[SITE]]
    words = {"chance" if math.isnan(accuracy) else "a rescan" for accuracy in accuracies}
    return " or ".join(sorted(words))


def _shares(compared: _Compared, label: str) -> dict[str, float]:
    """Return the preserved share of each of the `SHARES` of a method, in [0, 1]."""
    shares = {}
    for name in SHARES:
        values = [
            _mean(compared, metric, label, lambda _, value: max(0.0, 1 - abs(1 - value)))
            for metric in compared.boards
            if _share_of(metric) == name
        ]
        finite = [value for value in values if math.isfinite(value)]
        if finite:
            shares[name] = sum(finite) / len(finite)
    return shares


def _mean(
    compared: _Compared, metric: str, label: str, function: Callable[[str, float], float]
) -> float:
    """Return the mean over the common tasks of a function of a value; NaN without a finite one."""
    results = [
        function(task, score.value)
        for row in compared.boards[metric].rows
        if row.label == label
        for task, score in row.scores.items()
        if task in compared.tasks[metric] and math.isfinite(score.value)
    ]
    return sum(results) / len(results) if results else math.nan


def _markers(
    points: Sequence[BiologyPoint],
    name: str,
    colour: str,
    symbol: str,
    positions: Mapping[str, str],
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "x": numbers(point.effect for point in points),
        "y": numbers(point.preserved for point in points),
        "text": [escaped(point.label) for point in points],
        "hovertext": [_hover(point) for point in points],
        "mode": "markers+text",
        "textposition": [positions[point.label] for point in points],
        "name": name,
        "marker": {"color": colour, "symbol": symbol, "size": 11},
        "hovertemplate": "%{text}: %{hovertext}<extra></extra>",
    }


def _hover(point: BiologyPoint) -> str:
    shares = ", ".join(f"{name} {number(value)}" for name, value in point.shares.items())
    return f"effect {number(point.effect)}, preserved {number(point.preserved)} ({shares})"
