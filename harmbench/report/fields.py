"""Fields of the report's tables: text, sort key and colour."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from harmbench.leaderboard.board import Board, Row
from harmbench.leaderboard.formatting import interval, number
from harmbench.leaderboard.notes import UNUSUAL
from harmbench.leaderboard.scores import Score
from harmbench.statistics.estimate import Estimate

# Colours of a column, `h0` to `h8` in report.css: below the floor, equal to it, above it.
COLOURS = 9
_MIDDLE = COLOURS // 2


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


@dataclass(frozen=True)
class ColourScale:
    """The values between which a column is coloured; NaN where there is none.

    Attributes
    ----------
    worst, best
        Of the methods.
    floor
        Of the unprocessed scan, which has no colour.
    """

    worst: float
    best: float
    floor: float = math.nan

    def step(self, value: float) -> int | None:
        """Return the colour of a value: 0 is far below the floor, `COLOURS - 1` is the best.

        A method below the floor is on the other side of the scale than a better one, even if it
        is the best of its column. Without a floor the worst value has the colour in the middle.
        None for NaN, and if no value of the column is finite.

        Examples
        --------
        >>> scale = ColourScale(worst=20.0, best=30.0, floor=25.0)
        >>> scale.step(30.0), scale.step(25.0), scale.step(20.0), scale.step(24.0)
        (8, 4, 0, 3)
        >>> ColourScale(worst=0.4, best=0.1).step(0.1), ColourScale(0.4, 0.1).step(0.4)
        (8, 4)
        """
        sign = 1.0 if self.best >= self.worst else -1.0
        zero = self.floor if math.isfinite(self.floor) else self.worst
        if math.isnan(value) or not math.isfinite(zero):
            return None
        gain, most = sign * (value - zero), sign * (self.best - zero)
        if gain >= 0:
            if value == self.best and not math.isfinite(self.floor):
                return COLOURS - 1
            share = min(gain / most, 1.0) if most > 0 else 0.0
            return _MIDDLE + round(share * _MIDDLE)
        # Any harm is visible, also next to large gains.
        share = min(-gain / max(most, sign * (zero - self.worst)), 1.0)
        return _MIDDLE - math.ceil(share * _MIDDLE)


def scale_of(board: Board, task: str) -> ColourScale | None:
    """Return the colours of a column; None for a metric that does not rank."""
    if not board.measure.ranks:
        return None
    floor = next(
        (
            row.scores[task].value
            for row in board.rows
            if row.control == "floor" and task in row.scores
        ),
        math.nan,
    )
    values = [row.scores[task].value for row in board.methods if task in row.scores]
    return colour_scale(values, floor, higher_is_better=board.higher_is_better)


def colour_scale(
    values: Iterable[float], floor: float = math.nan, *, higher_is_better: bool = True
) -> ColourScale:
    """Return the colours of a column of values, of which NaN and infinity are ignored."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return ColourScale(math.nan, math.nan)
    low, high = min(finite), max(finite)
    return ColourScale(low, high, floor) if higher_is_better else ColourScale(high, low, floor)


def coloured(value: float, scale: ColourScale | None) -> str:
    """Return the CSS class of a value's colour, or nothing."""
    step = None if scale is None else scale.step(value)
    return "" if step is None else f"h{step}"


def sort_key(value: float) -> str:
    """Return a number as JavaScript's `Number` reads it: Infinity, but not inf."""
    return repr(value).replace("inf", "Infinity")


def number_field(value: float) -> TableField:
    """Return the field of a number; empty for NaN."""
    return (
        TableField() if math.isnan(value) else TableField(text=number(value), sort=sort_key(value))
    )


def estimate_field(
    estimate: Estimate | None,
    decimals: int | None = None,
    *,
    signed: bool = False,
    letters: str = "",
    scale: ColourScale | None = None,
) -> TableField:
    """Return the field of an estimate, with its interval as the note."""
    if estimate is None or math.isnan(estimate.mean):
        return TableField(letters=letters)
    return TableField(
        text=number(estimate.mean, decimals, signed=signed),
        sort=sort_key(estimate.mean),
        css_class=coloured(estimate.mean, scale),
        letters=letters,
        note=interval(estimate.low, estimate.high, decimals, signed=signed),
    )


def score_field(
    row: Row,
    score: Score | None,
    scale: ColourScale | None,
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
        Colours of the column; None without colours.
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
    return TableField(
        text=number(score.value) + (UNUSUAL if unusual else ""),
        sort=sort_key(score.value),
        css_class="" if row.control else coloured(score.value, scale),
        href=href,
        letters=letters,
        note=note,
    )
