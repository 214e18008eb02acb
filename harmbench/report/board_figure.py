"""The plots of a board as figures for papers: PNG, SVG and PDF."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from harmbench.errors import UserError
from harmbench.leaderboard.board import Board, Row
from harmbench.leaderboard.figure_names import BOARD_FIGURES
from harmbench.report.drawn_plot import drawn
from harmbench.report.figure import Plot
from harmbench.report.score_plots import differences, intervals, scatter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# By name: the plot, and whether it compares methods with a base.
_WITH_BASE: dict[str, Callable[[Board, str, Row], Plot | None]] = {
    "differences": differences,
    "scatter": scatter,
}


def board_figure(board: Board, name: str, *, task: str | None, base: str | None) -> Figure:
    """Draw a plot of a board.

    Parameters
    ----------
    board
        The board.
    name
        One of `BOARD_FIGURES`.
    task
        The task; the first of the board if None.
    base
        Label of the method that others are compared with; the floor if None.

    Raises
    ------
    UserError
        If there is no such figure, task or base, or no number to draw.
    """
    if name not in BOARD_FIGURES:
        raise UserError.unknown("figure of a board", name, BOARD_FIGURES)
    chosen = board.tasks[0] if task is None else task
    if chosen not in board.tasks:
        raise UserError.unknown(f"task with the metric {board.metric}", chosen, board.tasks)
    if name in _WITH_BASE:
        plot = _WITH_BASE[name](board, chosen, _base(board, chosen, base))
    else:
        plot = intervals(board, chosen)
    if plot is None:
        raise UserError(f"no finite value of {board.metric} on {chosen} to draw as '{name}'")
    return drawn(plot)


def _base(board: Board, task: str, label: str | None) -> Row:
    """Return the row that others are compared with."""
    rows = {row.label: row for row in board.rows if task in row.scores}
    if label is None:
        label = board.floor if board.floor in rows else next(iter(rows))
    if label not in rows:
        raise UserError.unknown(f"method on {task}", label, rows)
    return rows[label]
