"""Figures of quality against cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harmbench.leaderboard.formatting import number
from harmbench.report.figure import BLUE, RED, Plot, escaped, numbers, plot, title
from harmbench.report.point_names import name_positions

_LONGEST_NAME = 18


@dataclass(frozen=True)
class Cost:
    """A cost of a method.

    Attributes
    ----------
    name
        Name of its figure.
    column
        Its column in the table of runs.
    title, axis
        Its name, and its name with the unit.
    """

    name: str
    column: str
    title: str
    axis: str


COSTS = (
    Cost("cost-fit", "fit_seconds", "time to fit", "time to fit [s]"),
    Cost(
        "cost-scan", "harmonize_seconds_per_scan", "time per scan", "time to harmonise a scan [s]"
    ),
    Cost("cost-memory", "fit_peak_memory_mib", "memory", "peak memory of the fit [MiB]"),
    Cost("cost-parameters", "n_parameters", "parameters", "learnt parameters"),
)


@dataclass(frozen=True)
class Point:
    """A method: its cost, its quality, and the position of its cost on the logarithmic axis."""

    label: str
    cost: float
    quality: float
    x: float


def pareto(
    cost: Cost,
    prices: Mapping[str, float],
    qualities: Mapping[str, float],
    quality: str,
    *,
    higher_is_better: bool,
) -> Plot | None:
    """Draw quality against cost, and the line of undominated methods.

    Parameters
    ----------
    cost
        The horizontal axis.
    prices, qualities
        By method; methods without a finite value of both are left out.
    quality
        Name of the vertical axis.
    higher_is_better
        Its direction.
    """
    finite = [
        (label, prices[label], value)
        for label, value in qualities.items()
        if math.isfinite(value) and math.isfinite(prices.get(label, math.nan))
    ]
    if not finite:
        return None
    positive = [price for _, price, _ in finite if price > 0]
    # A logarithmic axis has no zero: methods without cost stand to the left of all others.
    zero = 10 ** (math.floor(math.log10(min(positive))) - 1) if positive else 1.0
    points = [Point(label, p, q, x=p if p > 0 else zero) for label, p, q in finite]
    labels = undominated(finite, higher_is_better=higher_is_better)
    front = [point for point in points if point.label in labels]
    others = [point for point in points if point.label not in labels]
    sides = name_positions(
        [_cut(point.label) for point in points],
        [math.log10(point.x) for point in points],
        [point.quality for point in points],
    )
    positions = dict(zip((point.label for point in points), sides, strict=True))
    return plot(
        [
            _front_line(front),
            _markers(front, cost, RED, "diamond", positions),
            _markers(others, cost, BLUE, "circle", positions),
        ],
        x={"type": "log", "title": title(cost.axis), **_ticks(positive, zero, points)},
        y={"title": title(quality)},
        caption=f"{quality} against {cost.title}.",
        text="; ".join(f"{p.label}: {number(p.cost)}, {number(p.quality)}" for p in points),
        height=430,
        showlegend=True,
    )


def _front_line(front: Sequence[Point]) -> dict[str, Any]:
    line = sorted(front, key=lambda point: point.cost)
    return {
        "type": "scatter",
        "x": [point.x for point in line],
        "y": numbers(point.quality for point in line),
        "mode": "lines",
        "line": {"shape": "hv", "width": 2, "dash": "dot", "color": RED},
        "name": "no method is better in both",
        "hoverinfo": "skip",
    }


def _markers(
    points: Sequence[Point], cost: Cost, colour: str, symbol: str, positions: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "x": [point.x for point in points],
        "y": numbers(point.quality for point in points),
        "text": [escaped(_cut(point.label)) for point in points],
        "customdata": [[escaped(point.label), number(point.cost)] for point in points],
        "mode": "markers+text",
        "textposition": [positions[point.label] for point in points],
        "showlegend": False,
        "cliponaxis": False,
        "marker": {"size": 11, "color": colour, "symbol": symbol},
        "hovertemplate": f"%{{customdata[0]}}: {cost.title} %{{customdata[1]}}, "
        "%{y:.4g}<extra></extra>",
    }


def _ticks(positive: Sequence[float], zero: float, points: Sequence[Point]) -> dict[str, Any]:
    """Return ticks at powers of ten, and at 0 if a method has no cost, and the axis' range."""
    powers = sorted({math.floor(math.log10(price)) + k for price in positive for k in (0, 1)})
    ticks = {10.0**power: _power(power) for power in powers}
    if any(point.cost <= 0 for point in points):
        ticks[zero] = "0"
    low, high = math.log10(min(ticks)), math.log10(max(ticks))
    margin = 0.12 * max(1.0, high - low)
    return {
        "tickvals": list(ticks),
        "ticktext": list(ticks.values()),
        "range": [low - margin, high + margin],
    }


def _cut(label: str) -> str:
    """Shorten a name to fit next to its point; the hover text has the full name."""
    return label if len(label) <= _LONGEST_NAME else f"{label[: _LONGEST_NAME - 1]}…"


def undominated(points: Sequence[tuple[str, float, float]], *, higher_is_better: bool) -> set[str]:
    """Return the labels of the Pareto front of points (label, cost, quality).

    Examples
    --------
    >>> points = [("a", 1.0, 20.0), ("b", 2.0, 30.0), ("c", 3.0, 25.0)]
    >>> sorted(undominated(points, higher_is_better=True))
    ['a', 'b']
    """
    sign = 1 if higher_is_better else -1

    def dominated(cost: float, value: float) -> bool:
        return any(
            other_cost <= cost
            and sign * other >= sign * value
            and (other_cost < cost or sign * other > sign * value)
            for _, other_cost, other in points
        )

    return {label for label, cost, value in points if not dominated(cost, value)}


def _power(power: int) -> str:
    return f"{10.0**power:g}" if -4 < power < 5 else f"10<sup>{power}</sup>"
