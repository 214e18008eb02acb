"""Figures of one metric on one task: intervals, paired differences, subject by subject."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from harmbench.leaderboard.board import Board, Row
from harmbench.leaderboard.formatting import count, interval, number
from harmbench.leaderboard.scores import Score
from harmbench.report.figure import (
    BLUE,
    COLOURS,
    GREY,
    RED,
    ROW_HEIGHT,
    SKY,
    SYMBOLS,
    Plot,
    error_bars,
    escaped,
    method_axis,
    numbers,
    plot,
    title,
    vertical_line,
)
from harmbench.statistics.estimate import Estimate, mean_interval

Scored = tuple[Row, Score]


def intervals(board: Board, task: str) -> Plot | None:
    """Draw each method's mean with its 95 % interval over subjects, and the seeds' means."""
    scored = _scored(board, task)
    if not scored:
        return None
    methods = [(row, score) for row, score in scored if not row.control]
    controls = [(row, score) for row, score in scored if row.control]
    traces = [
        _means(methods, "methods", BLUE, "circle"),
        _means(controls, "controls", GREY, "diamond"),
        _seed_means(scored),
    ]
    bounds = {
        name: bound[task].mean
        for name, bound in board.bounds.items()
        if task in bound and math.isfinite(bound[task].mean)
    }
    return plot(
        [trace for trace in traces if trace["x"]],
        x={"title": title(board.measure.axis_title)},
        y=method_axis([escaped(row.label) for row, _ in scored]),
        caption=f"{board.metric} on {task}: mean over subjects with its 95 % interval.",
        text="; ".join(f"{row.label}: {_hover(score)}" for row, score in scored),
        height=110 + ROW_HEIGHT * len(scored),
        shapes=[vertical_line(x) for x in bounds.values()],
        annotations=[_annotation(name, x) for name, x in bounds.items()],
    )


def _scored(board: Board, task: str) -> list[Scored]:
    """Return the rows with a finite number on the task, in the board's order."""
    rows = [(row, row.scores[task]) for row in board.rows if task in row.scores]
    return [(row, score) for row, score in rows if math.isfinite(score.value)]


def _means(scored: Sequence[Scored], name: str, colour: str, symbol: str) -> dict[str, Any]:
    means = [score.value for _, score in scored]
    lows, highs = [score.low for _, score in scored], [score.high for _, score in scored]
    return {
        "type": "scatter",
        "x": numbers(means),
        "y": [escaped(row.label) for row, _ in scored],
        "mode": "markers",
        "name": name,
        "marker": {"color": colour, "symbol": symbol, "size": 11},
        "error_x": error_bars(means, lows, highs) | {"color": colour},
        "text": [_hover(score) for _, score in scored],
        "hovertemplate": "%{y}: %{text}<extra></extra>",
    }


def _seed_means(scored: Sequence[Scored]) -> dict[str, Any]:
    """Return the trace of the seeds' means, of methods with several seeds."""
    seeds = [
        (row.label, seed, value)
        for row, score in scored
        for seed, value in score.by_seed.items()
        if len(score.by_seed) > 1 and math.isfinite(value)
    ]
    return {
        "type": "scatter",
        "x": numbers(value for _, _, value in seeds),
        "y": [escaped(label) for label, _, _ in seeds],
        "text": [str(seed) for _, seed, _ in seeds],
        "mode": "markers",
        "name": "each seed",
        "marker": {"symbol": "line-ns-open", "size": 13, "color": RED, "line": {"width": 2}},
        "hovertemplate": "%{y}, seed %{text}: %{x:.4g}<extra></extra>",
    }


def _annotation(name: str, x: float) -> dict[str, Any]:
    return {
        "x": x,
        "y": 1,
        "yref": "paper",
        "yanchor": "top",
        "xanchor": "left",
        "text": escaped(name),
        "showarrow": False,
        "font": {"size": 11},
    }


def _hover(score: Score) -> str:
    bounds = f" {interval(score.low, score.high)}" if math.isfinite(score.low) else ""
    subjects, seeds = count(score.n, "subject"), count(len(score.seeds), "seed")
    return f"{number(score.value)}{bounds}, {subjects}, {seeds}"


def differences(board: Board, task: str, base: Row) -> Plot | None:
    """Draw every method's differences to `base`, subject by subject, with their mean."""
    paired = [
        (row, _differences(score.subjects, base.scores[task].subjects))
        for row, score in _scored(board, task)
        if row.label != base.label
    ]
    paired = [(row, values) for row, values in paired if len(values)]
    if not paired:
        return None
    labels = [escaped(row.label) for row, _ in paired]
    means = [mean_interval(values.to_numpy()) for _, values in paired]
    unit = f" [{board.measure.unit}]" if board.measure.unit else ""
    better = "right" if board.higher_is_better else "left"
    return plot(
        [_subject_differences(labels, paired), _mean_differences(labels, means)],
        x={"title": title(f"{board.metric}{unit} minus that of {escaped(base.label)}")},
        y=method_axis(labels),
        caption=f"Differences in {board.metric} on {task} to {base.label}, subject by subject: "
        f"points to the {better} of 0 are better than {base.label}.",
        text="; ".join(
            f"{row.label} {mean.mean:+.4g} [{mean.low:+.4g}, {mean.high:+.4g}]"
            for (row, _), mean in zip(paired, means, strict=True)
        ),
        height=110 + ROW_HEIGHT * len(paired),
        shapes=[vertical_line(0)],
    )


def _subject_differences(
    labels: Sequence[str], paired: Sequence[tuple[Row, pd.Series]]
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "x": numbers(value for _, values in paired for value in values),
        "y": [label for label, (_, values) in zip(labels, paired, strict=True) for _ in values],
        "text": [escaped(str(subject)) for _, values in paired for subject in values.index],
        "mode": "markers",
        "name": "each subject",
        "marker": {"color": SKY, "size": 7, "opacity": 0.6},
        "hovertemplate": "%{y}, subject %{text}: %{x:+.4g}<extra></extra>",
    }


def _mean_differences(labels: Sequence[str], means: Sequence[Estimate]) -> dict[str, Any]:
    middles = [mean.mean for mean in means]
    bars = error_bars(middles, [mean.low for mean in means], [mean.high for mean in means])
    return {
        "type": "scatter",
        "x": numbers(middles),
        "y": list(labels),
        "mode": "markers",
        "name": "mean, 95 % interval",
        "marker": {"color": RED, "symbol": "diamond", "size": 10},
        "error_x": bars | {"color": RED},
        "hovertemplate": "%{y}: %{x:+.4g}<extra></extra>",
    }


def _differences(first: pd.Series, second: pd.Series) -> pd.Series:
    """Return the finite differences of the common subjects."""
    if first.empty or second.empty:
        return pd.Series(dtype=float)
    with np.errstate(invalid="ignore"):
        return (first - second).replace([math.inf, -math.inf], math.nan).dropna()


def scatter(board: Board, task: str, base: Row) -> Plot | None:
    """Draw each subject's value by every method against that by `base`."""
    before = base.scores[task].subjects
    pairs = [
        (row, _common(before, score.subjects))
        for row, score in _scored(board, task)
        if row.label != base.label and not row.control and not score.subjects.empty
    ]
    points = [(i, row, both) for i, (row, both) in enumerate(pairs) if not both.empty]
    if before.empty or not points:
        return None
    diagonal = numbers(
        (
            min(float(both.min().min()) for _, _, both in points),
            max(float(both.max().max()) for _, _, both in points),
        )
    )
    line = {
        "type": "scatter",
        "x": diagonal,
        "y": diagonal,
        "mode": "lines",
        "line": {"width": 1.5, "dash": "dot", "color": GREY},
        "showlegend": False,
        "hoverinfo": "skip",
    }
    side = "above" if board.higher_is_better else "below"
    return plot(
        [*(_subject_values(i, row, both) for i, row, both in points), line],
        x={"title": title(f"{board.metric} by {escaped(base.label)}")},
        y={"title": title(f"{board.metric} by the method")},
        caption=f"{board.metric} of every subject: {base.label} on the horizontal axis, the method "
        f"on the vertical axis. For subjects {side} the line the method is better.",
        text=f"{len(before)} subjects by {', '.join(row.label for row, _ in pairs)}.",
        height=430,
    )


def _common(x: pd.Series, y: pd.Series) -> pd.DataFrame:
    """Return the finite values of the common subjects, columns x and y."""
    both = pd.DataFrame({"x": x, "y": y})
    return both.replace([math.inf, -math.inf], math.nan).dropna()


def _subject_values(index: int, row: Row, both: pd.DataFrame) -> dict[str, Any]:
    return {
        "type": "scatter",
        "x": numbers(both["x"]),
        "y": numbers(both["y"]),
        "text": [escaped(str(subject)) for subject in both.index],
        "mode": "markers",
        "name": escaped(row.label),
        "marker": {
            "color": COLOURS[index % len(COLOURS)],
            "symbol": SYMBOLS[index % len(SYMBOLS)],
            "size": 9,
            "opacity": 0.8,
        },
        "hovertemplate": "subject %{text}: %{x:.4g} → %{y:.4g}",
    }
