"""Fields of the report's tables: what is written, what is sorted by, and the colour."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from harmbench.leaderboard.formatting import short
from harmbench.leaderboard.table import Board, Row, Score
from harmbench.report import heat
from harmbench.statistics.estimate import Estimate


@dataclass(frozen=True)
class Field:
    """One field of a table: its text, what it sorts by, and how it is shown."""

    text: str = ""
    sort: str = ""
    kind: str = ""
    href: str = ""
    tier: str = ""
    note: str = ""


def direction(board: Board) -> str:
    """Write a metric's unit and direction."""
    unit = f"{board.measure.unit}, " if board.measure.unit else ""
    return f"{unit}{'higher' if board.higher_is_better else 'lower'} is better"


def by_value(board: Board, task: str) -> list[Row]:
    """Return the rows with a number on a task, the best first."""
    known = [row for row in board.rows if row.scores.get(task) and row.scores[task].known]
    sign = -1 if board.higher_is_better else 1
    return sorted(known, key=lambda row: sign * row.scores[task].value)


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


def number(value: float) -> Field:
    """Lay a number out; nothing if there is none."""
    return Field() if math.isnan(value) else Field(short(value), repr(value))


def estimate_field(estimate: Estimate | None, write: Callable[[float], str] = short) -> Field:
    """Lay an estimate out with its interval."""
    if estimate is None or math.isnan(estimate.mean):
        return Field()
    note = _interval(estimate.low, estimate.high, write)
    return Field(write(estimate.mean), repr(estimate.mean), note=note)


def as_rank(rank: float) -> str:
    """Write a mean rank."""
    return f"{rank:.1f}"


def as_score(place: float) -> str:
    """Write a place between floor and ceiling."""
    return f"{place:.2f}"


def _interval(low: float, high: float, write: Callable[[float], str] = short) -> str:
    if math.isnan(low) or math.isnan(high) or (math.isinf(low) and math.isinf(high)):
        return ""
    return f"[{write(low)}, {write(high)}]"


def score_field(
    row: Row, score: Score | None, scale: tuple[float, float], href: str, *, interval: bool = True
) -> Field:
    """Lay a score out.

    Parameters
    ----------
    row, score
        Whose it is; None if it was not run.
    scale
        The worst and the best of its column.
    href
        Where the number leads to.
    interval
        Whether interval, seeds and tier are part of it.
    """
    if score is None:
        return Field("not run", kind="gap")
    if not score.known:
        text = score.status if score.status != "done" else "no number"
        return Field(text, kind=f"gap {score.status}", href=href, note="")
    place = None if row.control else heat.step(score.value, *scale)
    note = ""
    if interval:
        note = _interval(score.low, score.high)
        if len(score.seeds) > 1:
            note = f"{note} ×{len(score.seeds)}".strip()
        if score.status != "done":
            note = f"{note}, a seed {score.status}"
    # JavaScript reads Infinity, and not inf.
    sort = repr(score.value).replace("inf", "Infinity")
    return Field(
        short(score.value),
        sort,
        kind="" if place is None else f"h{place}",
        href=href,
        tier=str(score.tier or "") if interval else "",
        note=note,
    )
