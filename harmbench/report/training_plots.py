"""Figures of training curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from harmbench.contracts.fit_progress import CurvePoint
from harmbench.leaderboard.formatting import number
from harmbench.report.figure import COLOURS, Plot, escaped, numbers, plot, title

_MOST_POINTS = 400


def training(curves: Mapping[str, Sequence[CurvePoint]]) -> dict[str, Plot]:
    """Draw the recorded training curves, one figure for each name of a curve.

    Parameters
    ----------
    curves
        Points by the fit's title.
    """
    names = dict.fromkeys(point.name for points in curves.values() for point in points)
    plots = {}
    for name in names:
        data, texts = [], []
        for i, (fit, points) in enumerate(curves.items()):
            line = [p for p in points if p.name == name and math.isfinite(p.value)]
            if not line:
                continue
            every = -(-len(line) // _MOST_POINTS)
            line = line[::-every][::-1]
            data.append(
                {
                    "type": "scatter",
                    "x": [point.step for point in line],
                    "y": numbers(point.value for point in line),
                    "mode": "lines+markers" if len(line) < 30 else "lines",
                    "name": escaped(fit),
                    "line": {"color": COLOURS[i % len(COLOURS)], "width": 2},
                }
            )
            texts.append(f"{fit} ends at {number(line[-1].value)} after {line[-1].step} steps")
        if data:
            plots[name] = plot(
                data,
                x={"title": title("step")},
                y={"title": title(escaped(name))},
                caption=f"{name} during the fit.",
                text="; ".join(texts),
                height=340 + 22 * len(data),
                showlegend=True,
            )
    return plots
