"""Plotly figures as JSON, and the parts that all of them share.

Plain dictionaries instead of plotly.graph_objects, whose import takes seconds.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

# Okabe and Ito's palette for all kinds of colour vision, without the yellow that fades on white;
# symbols distinguish further methods.
BLUE, RED, SKY, GREY = "#0072B2", "#D55E00", "#56B4E9", "#7F7F7F"
COLOURS = (BLUE, RED, "#009E73", "#CC79A7", SKY, "#E69F00", GREY)
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "x", "star", "pentagon")

ROW_HEIGHT = 30  # pixels of a method


@dataclass(frozen=True)
class Plot:
    """A figure with its caption and its text alternative.

    Attributes
    ----------
    caption
        What the figure shows.
    text
        Its numbers, for readers who cannot see it.
    json
        Plotly's data and layout.
    height
        In pixels.
    """

    caption: str
    text: str
    json: str
    height: int


def plot(
    data: list[dict[str, Any]],
    *,
    x: dict[str, Any],
    y: dict[str, Any],
    caption: str,
    text: str,
    height: int,
    **layout: Any,
) -> Plot:
    """Make a plot of traces and axes."""
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
    return Plot(caption, text, json.dumps(figure, allow_nan=False, ensure_ascii=False), height)


def title(text: str) -> dict[str, Any]:
    """Return the title of an axis."""
    return {"text": text, "standoff": 10}


def numbers(values: Iterable[float]) -> list[float]:
    """Round to six digits, more than a figure shows."""
    return [float(f"{value:.6g}") for value in values]


def error_bars(
    means: Sequence[float], lows: Sequence[float], highs: Sequence[float]
) -> dict[str, Any]:
    """Return error bars, of length 0 where a bound is not finite."""
    above = [high - mean for mean, high in zip(means, highs, strict=True)]
    below = [mean - low for mean, low in zip(means, lows, strict=True)]
    return {
        "type": "data",
        "symmetric": False,
        "array": numbers(reach if math.isfinite(reach) else 0.0 for reach in above),
        "arrayminus": numbers(reach if math.isfinite(reach) else 0.0 for reach in below),
        "thickness": 2.5,
        "width": 0,
    }


def vertical_line(x: float) -> dict[str, Any]:
    """Return a dotted vertical line through the figure."""
    return {
        "type": "line",
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "x0": x,
        "x1": x,
        "line": {"width": 1.5, "dash": "dot", "color": GREY},
    }


def escaped(text: str) -> str:
    """Escape a name, since Plotly interprets some HTML in its texts."""
    return html.escape(text, quote=False)


def method_axis(labels: Sequence[str]) -> dict[str, Any]:
    """Return an axis of methods, the first on top."""
    return {
        "type": "category",
        "categoryorder": "array",
        "categoryarray": list(labels)[::-1],
        "ticklabelstandoff": 8,
    }


def inline(plot_json: str) -> str:
    """Escape JSON for a script element, so that no text in it can end the element.

    Examples
    --------
    >>> json.loads(inline('["</script>"]')), "<" in inline('["</script>"]')
    (['</script>'], False)
    """
    return plot_json.replace("<", "\\u003c")
