"""Interactive plots of the report, as Plotly figures."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from harmbench.contracts.fit_progress import CurvePoint
from harmbench.leaderboard.formatting import axis_title, short
from harmbench.leaderboard.table import Board, Row, Score
from harmbench.statistics.estimate import bootstrap

# Okabe and Ito's colours, told apart with any colour vision, without the yellow that fades
# on white; symbols tell apart what is left.
_BLUE, _RED, _SKY, _GREY = "#0072B2", "#D55E00", "#56B4E9", "#7F7F7F"

_COLOURS = (_BLUE, _RED, "#009E73", "#CC79A7", _SKY, "#E69F00", _GREY)

_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "x", "star", "pentagon")

_ROW = 30  # pixels of a method

_MOST_CURVE_POINTS = 400

_LONGEST_NAME = 18


@dataclass(frozen=True)
class Plot:
    """A figure with its words.

    Attributes
    ----------
    caption
        What is seen, for everybody.
    text
        What it says, for those who do not see it.
    json
        Plotly's data and layout.
    height
        In pixels.
    """

    caption: str
    text: str
    json: str
    height: int


def _plot(
    data: list[dict[str, Any]],
    x: dict[str, Any],
    y: dict[str, Any],
    words: tuple[str, str],
    height: int,
    **layout: Any,
) -> Plot:
    """Put traces and axes together; `words` are the caption and the text."""
    axis = {"automargin": True, "zeroline": False, "fixedrange": True}
    figure = {
        "data": data,
        "layout": {
            "height": height,
            "margin": {"l": 8, "r": 16, "t": 8, "b": 44},
            "dragmode": False,
            "hovermode": "closest",
            "font": {"size": 13},
            "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
            "xaxis": axis | x,
            "yaxis": axis | y,
            **layout,
        },
    }
    caption, text = words
    return Plot(caption, text, json.dumps(figure, allow_nan=False, ensure_ascii=False), height)


def _title(text: str) -> dict[str, Any]:
    return {"text": text, "standoff": 10}


def _numbers(values: Iterable[float]) -> list[float]:
    """Six digits are more than a figure shows."""
    return [float(f"{value:.6g}") for value in values]


def _bars(means: Sequence[float], lows: Sequence[float], highs: Sequence[float]) -> dict[str, Any]:
    """Return error bars; none where a bound is not finite."""
    above = [high - mean for mean, high in zip(means, highs, strict=True)]
    below = [mean - low for mean, low in zip(means, lows, strict=True)]
    return {
        "type": "data",
        "symmetric": False,
        "array": _numbers(reach if math.isfinite(reach) else 0.0 for reach in above),
        "arrayminus": _numbers(reach if math.isfinite(reach) else 0.0 for reach in below),
        "thickness": 2.5,
        "width": 0,
    }


def _line(**where: float) -> dict[str, Any]:
    """Return an upright line through the figure."""
    return {
        "type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": where["x"], "x1": where["x"],
        "line": {"width": 1.5, "dash": "dot", "color": _GREY},
    }  # fmt: skip


def _name(text: str) -> str:
    """Plotly reads some HTML in its texts; names are to be seen as they are."""
    return html.escape(text, quote=False)


def _known(board: Board, task: str) -> list[tuple[Row, Score]]:
    """Return rows with a finite number on the task, best first as the board has them."""
    found = [(row, row.scores[task]) for row in board.rows if task in row.scores]
    return [(row, score) for row, score in found if math.isfinite(score.value)]


def intervals(board: Board, task: str) -> Plot | None:
    """Draw each method's mean with its 95 % interval over subjects, and the seeds' means."""
    known = _known(board, task)
    if not known:
        return None
    data = []
    for controls, colour, symbol in ((False, _BLUE, "circle"), (True, _GREY, "diamond")):
        chosen = [(row, score) for row, score in known if bool(row.control) is controls]
        means = [score.value for _, score in chosen]
        bars = _bars(means, [score.low for _, score in chosen], [score.high for _, score in chosen])
        data.append(
            {
                "type": "scatter",
                "x": _numbers(means),
                "y": [_name(row.label) for row, _ in chosen],
                "mode": "markers",
                "name": "controls" if controls else "methods",
                "marker": {"color": colour, "symbol": symbol, "size": 11},
                "error_x": bars | {"color": colour},
                "text": [_hover(score) for _, score in chosen],
                "hovertemplate": "%{y}: %{text}<extra></extra>",
            }
        )
    seeds = [
        (row.label, seed, value)
        for row, score in known
        for seed, value in score.by_seed.items()
        if len(score.by_seed) > 1 and math.isfinite(value)
    ]
    if seeds:
        data.append(
            {
                "type": "scatter",
                "x": _numbers(value for _, _, value in seeds),
                "y": [_name(label) for label, _, _ in seeds],
                "text": [str(seed) for _, seed, _ in seeds],
                "mode": "markers",
                "name": "each seed",
                "marker": {
                    "symbol": "line-ns-open", "size": 13, "color": _RED, "line": {"width": 2},
                },
                "hovertemplate": "%{y}, seed %{text}: %{x:.4g}<extra></extra>",
            }
        )  # fmt: skip
    bounds = {
        title: bound[task].mean
        for title, bound in board.bounds.items()
        if task in bound and math.isfinite(bound[task].mean)
    }
    notes = [
        {"x": x, "y": 1, "yref": "paper", "yanchor": "top", "xanchor": "left",
         "text": _name(title), "showarrow": False, "font": {"size": 11}}
        for title, x in bounds.items()
    ]  # fmt: skip
    return _plot(
        [trace for trace in data if trace["x"]],
        {"title": _title(axis_title(board))},
        _methods([_name(row.label) for row, _ in known]),
        (
            f"{board.metric} on {task}: mean over subjects with its 95 % interval.",
            "; ".join(f"{row.label}: {_hover(score)}" for row, score in known),
        ),
        110 + _ROW * len(known),
        shapes=[_line(x=x) for x in bounds.values()],
        annotations=notes,
    )


def _methods(labels: Sequence[str]) -> dict[str, Any]:
    """Return an axis of methods, the first on top."""
    return {
        "type": "category", "categoryorder": "array", "categoryarray": list(labels)[::-1],
        "ticklabelstandoff": 8,
    }  # fmt: skip


def _hover(score: Score) -> str:
    interval = f" [{short(score.low)}, {short(score.high)}]" if math.isfinite(score.low) else ""
    seeds = len(score.seeds)
    return f"{short(score.value)}{interval}, {score.n} subjects, {seeds} seed{'s' * (seeds != 1)}"


def differences(board: Board, task: str, base: Row) -> Plot | None:
    """Draw every method's differences to another, `base`, subject by subject, with their mean."""
    known = [
        (row, _paired(score.subjects, base.scores[task].subjects))
        for row, score in _known(board, task)
        if row.label != base.label
    ]
    known = [(row, values) for row, values in known if len(values)]
    if not known:
        return None
    labels = [_name(row.label) for row, _ in known]
    means = [bootstrap(values.to_numpy()) for _, values in known]
    middles = [mean.mean for mean in means]
    bars = _bars(middles, [mean.low for mean in means], [mean.high for mean in means])
    data = [
        {
            "type": "scatter",
            "x": _numbers(value for _, values in known for value in values),
            "y": [label for label, (_, values) in zip(labels, known, strict=True) for _ in values],
            "text": [_name(str(subject)) for _, values in known for subject in values.index],
            "mode": "markers",
            "name": "each subject",
            "marker": {"color": _SKY, "size": 7, "opacity": 0.6},
            "hovertemplate": "%{y}, subject %{text}: %{x:+.4g}<extra></extra>",
        },
        {
            "type": "scatter",
            "x": _numbers(middles),
            "y": labels,
            "mode": "markers",
            "name": "mean, 95 % interval",
            "marker": {"color": _RED, "symbol": "diamond", "size": 10},
            "error_x": bars | {"color": _RED},
            "hovertemplate": "%{y}: %{x:+.4g}<extra></extra>",
        },
    ]
    texts = [
        f"{row.label} {mean.mean:+.4g} [{mean.low:+.4g}, {mean.high:+.4g}]"
        for (row, _), mean in zip(known, means, strict=True)
    ]
    unit = f" [{board.measure.unit}]" if board.measure.unit else ""
    better = "right" if board.higher_is_better else "left"
    return _plot(
        data,
        {"title": _title(f"{board.metric}{unit} minus that of {_name(base.label)}")},
        _methods(labels),
        (
            f"The same subjects' {board.metric} on {task}, minus that of {base.label}: "
            f"what lies to the {better} of 0 is better than {base.label}.",
            "; ".join(texts),
        ),
        110 + _ROW * len(known),
        shapes=[_line(x=0)],
    )


def _paired(one: pd.Series, other: pd.Series) -> pd.Series:
    """Return differences of the subjects that both have, where they are finite."""
    if one.empty or other.empty:
        return pd.Series(dtype=float)
    with np.errstate(invalid="ignore"):
        return (one - other).replace([math.inf, -math.inf], math.nan).dropna()


def scatter(board: Board, task: str, base: Row) -> Plot | None:
    """Draw each subject's value by every method against that by another."""
    before = base.scores[task].subjects
    known = [
        (row, score.subjects)
        for row, score in _known(board, task)
        if row.label != base.label and not row.control and not score.subjects.empty
    ]
    if before.empty or not known:
        return None
    data: list[dict[str, Any]] = []
    ends: list[float] = []
    for i, (row, subjects) in enumerate(known):
        both = pd.DataFrame({"x": before, "y": subjects})
        both = both.replace([math.inf, -math.inf], math.nan).dropna()
        if both.empty:
            continue
        ends += [float(both.min().min()), float(both.max().max())]
        data.append(
            {
                "type": "scatter",
                "x": _numbers(both["x"]),
                "y": _numbers(both["y"]),
                "text": [_name(str(subject)) for subject in both.index],
                "mode": "markers",
                "name": _name(row.label),
                "marker": {
                    "color": _COLOURS[i % len(_COLOURS)],
                    "symbol": _SYMBOLS[i % len(_SYMBOLS)],
                    "size": 9,
                    "opacity": 0.8,
                },
                "hovertemplate": "subject %{text}: %{x:.4g} → %{y:.4g}",
            }
        )
    if not ends:
        return None
    diagonal = _numbers((min(ends), max(ends)))
    data.append(
        {
            "type": "scatter",
            "x": diagonal,
            "y": diagonal,
            "mode": "lines",
            "line": {"width": 1.5, "dash": "dot", "color": _GREY},
            "showlegend": False,
            "hoverinfo": "skip",
        }
    )
    side = "above" if board.higher_is_better else "below"
    return _plot(
        data,
        {"title": _title(f"{board.metric} by {_name(base.label)}")},
        {"title": _title(f"{board.metric} by the method")},
        (
            f"Every subject once for each method: {board.metric} by {base.label} across, by the "
            f"method up. Subjects {side} the line are better off by the method.",
            f"{len(before)} subjects by {', '.join(row.label for row, _ in known)}.",
        ),
        430,
    )


@dataclass(frozen=True)
class Cost:
    """A price of a method: its column among the facts of runs, and how it is written."""

    column: str
    title: str
    axis: str


COSTS = (
    Cost("fit_seconds", "time to fit", "time to fit [s]"),
    Cost("harmonize_seconds_per_scan", "time per scan", "time to harmonise a scan [s]"),
    Cost("fit_peak_memory_mib", "memory", "memory at most while fitting [MiB]"),
    Cost("n_parameters", "parameters", "parameters that are learnt"),
)


def pareto(
    cost: Cost,
    prices: Mapping[str, float],
    qualities: Mapping[str, float],
    quality: str,
    *,
    higher_is_better: bool,
) -> Plot | None:
    """Draw quality against cost, and the line of methods that none beats in both.

    Parameters
    ----------
    cost
        What is drawn across.
    prices, qualities
        By method; what is missing or not finite in either is left out.
    quality
        What is drawn up, in words.
    higher_is_better
        Its direction.
    """
    points = [
        (label, prices[label], value)
        for label, value in qualities.items()
        if math.isfinite(value) and math.isfinite(prices.get(label, math.nan))
    ]
    if not points:
        return None
    positive = [price for _, price, _ in points if price > 0]
    # A scale of powers of ten has no nought: what costs nothing stands to the left of all.
    nothing = 10 ** (math.floor(math.log10(min(positive))) - 1) if positive else 1.0
    places = {label: price if price > 0 else nothing for label, price, _ in points}
    front = undominated(points, higher_is_better=higher_is_better)
    line = sorted((point for point in points if point[0] in front), key=lambda point: point[1])
    data: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "x": [places[label] for label, _, _ in line],
            "y": _numbers(value for _, _, value in line),
            "mode": "lines",
            "line": {"shape": "hv", "width": 2, "dash": "dot", "color": _RED},
            "name": "none beats these in both",
            "hoverinfo": "skip",
        }
    ]
    for on_front, colour, symbol in ((True, _RED, "diamond"), (False, _BLUE, "circle")):
        chosen = [point for point in points if (point[0] in front) is on_front]
        data.append(
            {
                "type": "scatter",
                "x": [places[label] for label, _, _ in chosen],
                "y": _numbers(value for _, _, value in chosen),
                "text": [_name(_cut(label)) for label, _, _ in chosen],
                "customdata": [[_name(label), short(price)] for label, price, _ in chosen],
                "mode": "markers+text",
                "textposition": "top center",
                "showlegend": False,
                "cliponaxis": False,
                "marker": {"size": 11, "color": colour, "symbol": symbol},
                "hovertemplate": f"%{{customdata[0]}}: {cost.title} %{{customdata[1]}}, "
                "%{y:.4g}<extra></extra>",
            }
        )
    powers = sorted({math.floor(math.log10(p)) + k for p in positive for k in (0, 1)})
    ticks = {10.0**power: _power(power) for power in powers}
    if any(price <= 0 for _, price, _ in points):
        ticks[nothing] = "0"
    low, high = math.log10(min(ticks)), math.log10(max(ticks))
    margin = 0.12 * max(1.0, high - low)
    return _plot(
        data,
        {
            "type": "log",
            "title": _title(cost.axis),
            "tickvals": list(ticks),
            "ticktext": list(ticks.values()),
            "range": [low - margin, high + margin],
        },
        {"title": _title(quality)},
        (
            f"{quality} against {cost.title}.",
            "; ".join(f"{label}: {short(price)}, {short(v)}" for label, price, v in points),
        ),
        430,
        showlegend=True,
    )


def _cut(label: str) -> str:
    """Shorten a name to what fits beside a point; it is whole where one points at it."""
    return label if len(label) <= _LONGEST_NAME else f"{label[: _LONGEST_NAME - 1]}…"


def undominated(points: Sequence[tuple[str, float, float]], *, higher_is_better: bool) -> set[str]:
    """Return the labels of points (label, cost, quality) that none beats in both.

    Examples
    --------
    >>> points = [("a", 1.0, 20.0), ("b", 2.0, 30.0), ("c", 3.0, 25.0)]
    >>> sorted(undominated(points, higher_is_better=True))
    ['a', 'b']
    """
    sign = 1 if higher_is_better else -1

    def beaten(cost: float, value: float) -> bool:
        return any(
            other_cost <= cost
            and sign * other >= sign * value
            and (other_cost < cost or sign * other > sign * value)
            for _, other_cost, other in points
        )

    return {label for label, cost, value in points if not beaten(cost, value)}


def _power(power: int) -> str:
    return f"{10.0**power:g}" if -4 < power < 5 else f"10<sup>{power}</sup>"


def training(curves: Mapping[str, Sequence[CurvePoint]]) -> dict[str, Plot]:
    """Draw what fits recorded by step, one figure for each name of a curve.

    Parameters
    ----------
    curves
        Points by a fit's title.
    """
    names = dict.fromkeys(point.name for points in curves.values() for point in points)
    found = {}
    for name in names:
        data, words = [], []
        for i, (title, points) in enumerate(curves.items()):
            line = [p for p in points if p.name == name and math.isfinite(p.value)]
            if not line:
                continue
            every = -(-len(line) // _MOST_CURVE_POINTS)
            line = line[::-every][::-1]
            data.append(
                {
                    "type": "scatter",
                    "x": [point.step for point in line],
                    "y": _numbers(point.value for point in line),
                    "mode": "lines+markers" if len(line) < 30 else "lines",
                    "name": _name(title),
                    "line": {"color": _COLOURS[i % len(_COLOURS)], "width": 2},
                }
            )
            words.append(f"{title} ends at {short(line[-1].value)} after {line[-1].step} steps")
        if data:
            found[name] = _plot(
                data,
                {"title": _title("step")},
                {"title": _title(_name(name))},
                (f"{name} while fitting.", "; ".join(words)),
                340 + 22 * len(data),
                showlegend=True,
            )
    return found


def inline(plot_json: str) -> str:
    """Make JSON safe inside a script element: no text of it can end the element.

    Examples
    --------
    >>> json.loads(inline('["</script>"]')), "<" in inline('["</script>"]')
    (['</script>'], False)
    """
    return plot_json.replace("<", "\\u003c")
