"""Fields of the report's tables: text, sort key and colour."""

from __future__ import annotations

import math
from dataclasses import dataclass

from harmbench.leaderboard.board import Board, Row
from harmbench.leaderboard.formatting import interval, number
from harmbench.leaderboard.notes import UNUSUAL
from harmbench.leaderboard.scores import Score
from harmbench.statistics.estimate import Estimate

# Colours of a column, from `h0` (worst) to `h8` (best) in report.css.
COLOURS = 9


@dataclass(frozen=True, kw_only=True)
class TableField:
    """One field of a table.

    Attributes
    ----------
    text
        Its text.
    sort
        The number or text that its column is sorted by.
    css_class
        CSS classes of its colour or hatching.
    href
        Target of its link.
    letters
        Letters of significance, shown after the text.
    note
        Small print below the text.
    """

    text: str = ""
    sort: str = ""
    css_class: str = ""
    href: str = ""
    letters: str = ""
    note: str = ""


def unit_and_direction(board: Board) -> str:
    """Return a metric's unit and direction."""
    unit = f"{board.measure.unit}, " if board.measure.unit else ""
    return f"{unit}{board.measure.direction}"


def by_value(board: Board, task: str) -> list[Row]:
    """Return the rows with a number on a task, the best first."""
    rows = [row for row in board.rows if row.scores.get(task) and row.scores[task].has_value]
    sign = -1 if board.higher_is_better else 1
    return sorted(rows, key=lambda row: sign * row.scores[task].value)


def scale_of(board: Board, task: str) -> tuple[float, float]:
    """Return the worst and the best number of a column, of methods and the floor."""
    values = [
        row.scores[task].value
        for row in board.rows
        if row.control != "ceiling" and row.scores.get(task)
    ]
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return math.nan, math.nan
    worst, best = min(finite), max(finite)
    return (worst, best) if board.higher_is_better else (best, worst)


def colour_step(value: float, worst: float, best: float) -> int | None:
    """Return the colour of a value, 0 for the worst and `COLOURS - 1` for the best.

    None if the value or the scale is not finite. Values beyond the ends get the last colour.

    Examples
    --------
    >>> colour_step(30.0, 20.0, 30.0), colour_step(20.0, 20.0, 30.0), colour_step(0.1, 0.4, 0.0)
    (8, 0, 6)
    """
    if not all(map(math.isfinite, (value, worst, best))):
        return None
    share = 0.5 if best == worst else (value - worst) / (best - worst)
    return round(min(1.0, max(0.0, share)) * (COLOURS - 1))


def number_field(value: float) -> TableField:
    """Return the field of a number; empty for NaN."""
    return TableField() if math.isnan(value) else TableField(text=number(value), sort=repr(value))


def estimate_field(
    estimate: Estimate | None,
    decimals: int | None = None,
    *,
    signed: bool = False,
    letters: str = "",
) -> TableField:
    """Return the field of an estimate, with its interval as the note."""
    if estimate is None or math.isnan(estimate.mean):
        return TableField(letters=letters)
    return TableField(
        text=number(estimate.mean, decimals, signed=signed),
        sort=repr(estimate.mean),
        letters=letters,
        note=interval(estimate.low, estimate.high, decimals, signed=signed),
    )


def score_field(
    row: Row,
    score: Score | None,
    scale: tuple[float, float],
    href: str,
    *,
    details: bool = True,
    letters: str = "",
    unusual: bool = False,
) -> TableField:
    """Return the field of a score.

    Parameters
    ----------
    row, score
        The method and its score; None if it was not run.
    scale
        The worst and the best number of the column.
    href
        Target of the link.
    details
        Whether to add the interval and the number of seeds.
    letters
        The method's letters of significance, or empty.
    unusual
        Whether it was computed with other library versions or on another class of device than
        most numbers of the board.
    """
    if score is None:
        return TableField(text="not run", css_class="gap")
    if not score.has_value:
        text = score.status if score.status != "done" else "no number"
        return TableField(text=text, css_class=f"gap {score.status}", href=href)
    step = None if row.control else colour_step(score.value, *scale)
    note = ""
    if details:
        note = interval(score.low, score.high)
        if score.from_reference is not None:
            note = f"Δ{number(score.from_reference.mean, signed=True)} {note}"
        if len(score.seeds) > 1:
            note = f"{note} ×{len(score.seeds)}".strip()
        if not score.counts:
            note = f"{note}, n={score.n}, not ranked"
        elif score.status != "done":
            note = f"{note}, a seed {score.status}"
    # JavaScript parses Infinity, but not inf.
    sort = repr(score.value).replace("inf", "Infinity")
    return TableField(
        text=number(score.value) + (UNUSUAL if unusual else ""),
        sort=sort,
        css_class="" if step is None else f"h{step}",
        href=href,
        letters=letters,
        note=note,
    )
