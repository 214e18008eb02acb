"""Figures of recorded results for papers: PNG, SVG and PDF."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harmbench.errors import UserError
from harmbench.leaderboard.board import Board, Row
from harmbench.leaderboard.figure_names import RESULT_FIGURES
from harmbench.leaderboard.groups import Group
from harmbench.report.biology_plot import effect_and_biology, is_compared
from harmbench.report.cost_plots import COSTS, Cost
from harmbench.report.costs import prices_of, quality_of, quality_on, quality_plot
from harmbench.report.drawn_plot import drawn
from harmbench.report.figure import Plot
from harmbench.report.origins import fitted_runs, training_curves
from harmbench.report.score_plots import differences, intervals, scatter
from harmbench.report.training_plots import training

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from harmbench.api.results import Results

# Figures that compare methods with a base.
_WITH_BASE: dict[str, Callable[[Board, str, Row], Plot | None]] = {
    "differences": differences,
    "scatter": scatter,
}
_COSTS = {cost.name: cost for cost in COSTS}


@dataclass(frozen=True)
class FigureChoice:
    """The choices of a figure; None for the default.

    Attributes
    ----------
    task, metric
        The task; the metric, or the name of a training curve.
    base
        Label of the method that others are compared with.
    method
        Label of the method whose training is shown.
    """

    task: str | None = None
    metric: str | None = None
    base: str | None = None
    method: str | None = None


def result_figure(results: Results, name: str, choice: FigureChoice) -> Figure:
    """Draw a figure of recorded results.

    Parameters
    ----------
    results
        The results; the newest group that has the figure is drawn.
    name
        One of `RESULT_FIGURES`.
    choice
        The choices of the figure.

    Raises
    ------
    UserError
        If there is no such figure, task, metric, base or method, the figure has no such choice,
        or there is no number to draw.
    """
    if name not in RESULT_FIGURES:
        raise UserError.unknown("figure of results", name, RESULT_FIGURES)
    options = RESULT_FIGURES[name].options
    for option in ("task", "metric", "base", "method"):
        if option not in options and getattr(choice, option) is not None:
            allowed = f"it has {', '.join(options)}" if options else "it has no choices"
            raise UserError(f"the figure '{name}' has no {option}; {allowed}")
    if name == "biology":
        return drawn(_biology(results))
    if name == "training":
        return drawn(_training(results, choice))
    group, board = results.newest(choice.metric)
    if choice.task is not None and choice.task not in board.tasks:
        raise UserError.unknown(f"task with the metric {board.metric}", choice.task, board.tasks)
    if name in _COSTS:
        return drawn(_cost(group, board, _COSTS[name], choice.task))
    return drawn(_scores(board, name, choice.task or board.tasks[0], choice.base))


def _scores(board: Board, name: str, task: str, base: str | None) -> Plot:
    """Draw the values of a metric on a task."""
    if name in _WITH_BASE:
        plot = _WITH_BASE[name](board, task, _base(board, task, base))
    else:
        plot = intervals(board, task)
    if plot is None:
        raise UserError(f"no finite value of {board.metric} on {task} to draw as '{name}'")
    return plot


def _base(board: Board, task: str, label: str | None) -> Row:
    """Return the row that others are compared with: the floor without a label."""
    rows = {row.label: row for row in board.rows if task in row.scores}
    if label is None:
        label = board.floor if board.floor in rows else next(iter(rows))
    if label not in rows:
        raise UserError.unknown(f"method on {task}", label, rows)
    return rows[label]


def _cost(group: Group, board: Board, cost: Cost, task: str | None) -> Plot:
    """Draw a metric against a cost: of one task, or the board's score over all tasks."""
    quality = quality_of(board) if task is None else quality_on(board, task)
    runs = group.runs if task is None else group.runs[group.runs["task"] == task]
    prices = prices_of(runs).get(cost.column, {})
    plot = None if quality is None else quality_plot(quality, cost, prices)
    if plot is None:
        raise UserError(
            f"no method has both a finite {board.metric} and a {cost.title} to draw as "
            f"'{cost.name}'"
        )
    return plot


def _biology(results: Results) -> Plot:
    """Draw the scanner effect against the biology of the newest group that has both."""
    metrics = [name for name in results.metrics if is_compared(name)]
    for group in results.groups(metrics) if metrics else ():
        plot = effect_and_biology(group.boards)
        if plot is not None:
            return plot
    raise UserError(
        "no method has a number of both classify-site-NAME and a task of biology to draw as "
        "'biology'; try `harmbench run --suite reviewers`"
    )


def _training(results: Results, choice: FigureChoice) -> Plot:
    """Draw a training curve of a method of the newest group that has any."""
    for group in results.groups():
        runs = group.runs
        if choice.task is not None:
            runs = runs[runs["task"] == choice.task]
        curves = {
            label: curves.by_fit
            for label, of_label in fitted_runs(runs)
            if (curves := training_curves(results.home, of_label)).by_fit
        }
        if curves:
            label = _chosen("method with training curves", "method", choice.method, curves)
            plots = training(curves[label])
            metric = next(iter(plots)) if choice.metric is None else choice.metric
            return plots[_chosen(f"training curve of {label}", "metric", metric, plots)]
    where = "" if choice.task is None else f" on {choice.task}"
    raise UserError(f"no method{where} has recorded training curves to draw as 'training'")


def _chosen(kind: str, option: str, name: str | None, names: Iterable[str]) -> str:
    """Return the name, or without one the only name that there is."""
    known = list(names)
    if name is None and len(known) > 1:
        raise UserError(f"choose a {option} for the figure 'training': {', '.join(known)}")
    if name is not None and name not in known:
        raise UserError.unknown(kind, name, known)
    return known[0] if name is None else name
