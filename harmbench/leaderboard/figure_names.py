"""Figures of recorded results that `harmbench figure` and the Python API draw."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ResultFigure:
    """A figure of recorded results.

    Attributes
    ----------
    summary
        What it shows, in one line.
    options
        Names of the choices that it has, of `"task"`, `"metric"`, `"base"` and `"method"`.
    """

    summary: str
    options: tuple[str, ...]


RESULT_FIGURES = {
    "intervals": ResultFigure("means over subjects with their 95 % intervals", ("task", "metric")),
    "differences": ResultFigure(
        "differences to a base, subject by subject, with their mean", ("task", "metric", "base")
    ),
    "scatter": ResultFigure(
        "values of subjects against those of a base", ("task", "metric", "base")
    ),
    "cost-fit": ResultFigure("a metric against the time to fit", ("task", "metric")),
    "cost-scan": ResultFigure("a metric against the time per scan", ("task", "metric")),
    "cost-memory": ResultFigure("a metric against the memory of the fit", ("task", "metric")),
    "cost-parameters": ResultFigure(
        "a metric against the number of parameters", ("task", "metric")
    ),
    "biology": ResultFigure("remaining scanner effect against preserved biology", ()),
    "training": ResultFigure(
        "training curves of a method; --metric is the name of a curve",
        ("method", "task", "metric"),
    ),
}
