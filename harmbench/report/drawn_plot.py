"""A plot of the report drawn by Matplotlib, which writes PNG, SVG and PDF without a browser."""

from __future__ import annotations

import html
import io
import json
import re
from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from harmbench.report.figure import Plot

_WIDTH = 7.0  # inches
_PIXELS_PER_INCH = 96
# Matplotlib's symbols by Plotly's names.
_MARKERS = {
    "circle": "o",
    "diamond": "D",
    "square": "s",
    "triangle-up": "^",
    "cross": "P",
    "x": "X",
    "star": "*",
    "pentagon": "p",
    "line-ns-open": "|",
}
# Offset in points and alignment of a name, by Plotly's names.
_SIDES = {
    "top center": ((0, 6), "center", "bottom"),
    "bottom center": ((0, -6), "center", "top"),
    "middle right": ((7, 0), "left", "center"),
    "middle left": ((-7, 0), "right", "center"),
}


class DrawnFigure(Figure):
    """A figure that a notebook shows, also without pyplot."""

    def _repr_png_(self) -> bytes:
        stream = io.BytesIO()
        self.savefig(stream, format="png", dpi=_PIXELS_PER_INCH)
        return stream.getvalue()


def drawn(plot: Plot) -> Figure:
    """Draw a plot: traces of markers, names and lines, error bars, and vertical lines.

    Parameters
    ----------
    plot
        The plot, as Plotly draws it in the report.
    """
    content = json.loads(plot.json)
    layout = content["layout"]
    figure = DrawnFigure(
        figsize=(_WIDTH, max(plot.height / _PIXELS_PER_INCH, 2.0)), layout="constrained"
    )
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    categories = [html.unescape(name) for name in layout["yaxis"].get("categoryarray", ())]
    places = {name: place for place, name in enumerate(categories)}
    for name in ("x", "y"):
        _scale_axis(axes, name, layout[f"{name}axis"])
    for trace in content["data"]:
        _draw_trace(axes, trace, places)
    for shape in layout.get("shapes", ()):
        line = shape["line"]
        axes.axvline(shape["x0"], color=line["color"], linewidth=line["width"], linestyle=":")
    low, high = axes.get_xlim()
    for note in layout.get("annotations", ()):
        # Inside of the axes, on either side of the line.
        side = "right" if note["x"] > (low + high) / 2 else "left"
        axes.annotate(
            f" {html.unescape(note['text'])} ",
            (note["x"], 1.0),
            xycoords=("data", "axes fraction"),
            va="top",
            ha=side,
            fontsize=8,
        )
    if categories:
        axes.set_yticks(range(len(categories)), categories)
        axes.set_ylim(-0.6, len(categories) - 0.4)
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.grid(axis="x" if categories else "both", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    return figure


def _draw_trace(axes: Axes, trace: Mapping[str, Any], places: Mapping[str, int]) -> None:
    """Draw one trace; categories of the vertical axis are at whole numbers."""
    name = html.unescape(trace.get("name", ""))
    shown = bool(name) and trace.get("showlegend", True)
    x = trace["x"]
    if not x:
        return
    y = [places.get(html.unescape(value), value) if places else value for value in trace["y"]]
    label = name if shown else "_nolegend_"
    line = trace.get("line", {})
    if "lines" in trace["mode"]:
        axes.plot(
            x,
            y,
            color=line["color"],
            linewidth=0.8 * line["width"],
            linestyle=":" if line.get("dash") == "dot" else "-",
            drawstyle="steps-post" if line.get("shape") == "hv" else "default",
            marker="o" if "markers" in trace["mode"] else None,
            markersize=3,
            label=label,
        )
        return
    marker = trace["marker"]
    bars = trace.get("error_x")
    axes.errorbar(
        x,
        y,
        xerr=None if bars is None else [bars["arrayminus"], bars["array"]],
        fmt=_MARKERS[marker.get("symbol", "circle")],
        color=marker["color"],
        alpha=marker.get("opacity", 1.0),
        markersize=0.7 * marker["size"],
        elinewidth=1.8,
        label=label,
    )
    if "text" in trace["mode"]:
        axes.margins(0.1, 0.12)  # names fit within the axes
        _name_points(axes, trace, x, y)


def _name_points(axes: Axes, trace: Mapping[str, Any], x: list[float], y: list[float]) -> None:
    """Write the names of points next to their markers."""
    for name, across, up, position in zip(trace["text"], x, y, trace["textposition"], strict=True):
        offset, horizontal, vertical = _SIDES[position]
        axes.annotate(
            html.unescape(name),
            (across, up),
            offset,
            textcoords="offset points",
            ha=horizontal,
            va=vertical,
            fontsize=8,
        )


def _scale_axis(axes: Axes, name: str, axis: Mapping[str, Any]) -> None:
    """Set the title, and of a logarithmic axis scale, ticks and range."""
    choices: dict[str, Any] = {f"{name}label": html.unescape(axis.get("title", {}).get("text", ""))}
    if axis.get("type") == "log":
        choices[f"{name}scale"] = "log"
    axes.set(**choices)
    if "tickvals" in axis:
        ticks = [re.sub(r"10<sup>(-?\d+)</sup>", r"$10^{\1}$", text) for text in axis["ticktext"]]
        getattr(axes, f"set_{name}ticks")(axis["tickvals"], ticks)
        getattr(axes, f"set_{name}ticks")([], minor=True)
    if "range" in axis:
        low, high = axis["range"]
        limits = (10.0**low, 10.0**high) if axis.get("type") == "log" else (low, high)
        axes.set(**{f"{name}lim": limits})
