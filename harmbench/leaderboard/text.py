"""Boards and standings as tables of text, and tidy tables as CSV and JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from harmbench.leaderboard.board import Board, Row
from harmbench.leaderboard.families import FamilyComparison
from harmbench.leaderboard.formatting import interval, number, rank_in_words, with_interval
from harmbench.leaderboard.notes import IMPORTED, UNUSUAL, notes, standings_notes
from harmbench.leaderboard.printed_table import Field, PrintedTable
from harmbench.leaderboard.published import Reference
from harmbench.leaderboard.standings import Standing, Standings
from harmbench.leaderboard.tidy import pairs_of
from harmbench.statistics.estimate import Estimate

# Columns that plugins add: texts by method, by heading.
Extra = Mapping[str, Mapping[str, str]]

PUBLISHED = "PUBLISHED, another data set, for orientation only"
_MARKS = {"": "", "variant": " ‡", "floor": " *", "reference line": " *"}
_SUBMITTED = " §"


def board_table(board: Board, extra: Extra, papers: Sequence[Reference]) -> PrintedTable:
    """Lay out a board as text.

    Parameters
    ----------
    board
        The board.
    extra
        Columns of plugins.
    papers
        Published numbers, shown below the table.
    """
    rows = [_row(board, row, extra) for row in board.rows]
    faint = [bool(row.role) for row in board.rows]
    headings = _headings(board, extra)
    # The tasks' reference values follow the reference lines.
    first = sum(row.control == "ceiling" for row in board.rows)
    decimals = board.measure.decimals
    for title, estimates in board.bounds.items():
        texts = [
            f"{title} °",
            *(_pooled_bound(board, family, title) for family in board.pooled),
            *(with_interval(estimates.get(task), decimals) for task in board.single_tasks),
        ]
        texts += [""] * (len(headings) - len(texts))
        rows.insert(first, [Field(text) for text in texts])
        faint.insert(first, True)
    published = _published(board, papers)
    return PrintedTable(
        title=board.title,
        headings=headings,
        rows=rows,
        faint=faint,
        below=[*published, *([""] if published else []), *notes(board)],
    )


def standings_table(standings: Standings, extra: Extra) -> PrintedTable:
    """Lay out standings as text, with the columns of plugins."""
    return PrintedTable(
        title=standings.title,
        headings=["method", "rank", *standings.families, "tasks", *extra],
        rows=[_standing(standings, row, extra) for row in standings.rows],
        faint=[False] * len(standings.rows),
        below=standings_notes(standings),
    )


def _origin_marks(row: Row | Standing) -> str:
    """Return the marks of images and results from elsewhere."""
    return (_SUBMITTED if row.submission else "") + (f" {IMPORTED}" if row.bundles else "")


def _standing(standings: Standings, row: Standing, extra: Extra) -> list[Field]:
    fields = [Field(f"{row.label}{_origin_marks(row)}"), Field(with_interval(row.rank, 1))]
    for name in standings.families:
        family = standings.compared(name)
        if family is None or row.label not in family.labels:
            fields.append(Field(rank_in_words(row.family_ranks[name])))
            continue
        gain = family.standard_gain.get(row.label)
        fields.append(_family_field(family, row.label, gain, 1))
    fields.append(Field(f"{row.rank.n}/{len(standings.columns)}"))
    return [*fields, *(Field(column.get(row.label, "")) for column in extra.values())]


def _family_field(
    family: FamilyComparison, label: str, gain: Estimate | None, decimals: int | None = None
) -> Field:
    """Return a method's mean difference to the floor with its letters."""
    letters = family.letters.get(label, "")
    if gain is None:
        return Field(letters, best=family.is_best(label))
    bounds = interval(gain.low, gain.high, decimals, signed=True)
    text = f"{number(gain.mean, decimals, signed=True)} {letters}".strip()
    return Field(f"{text} {bounds}".strip(), best=family.is_best(label))


def pairs_table(data: Board | Standings) -> PrintedTable:
    """Lay out the differences between all pairs of ranked methods, by family."""
    comparison = data.comparison
    pairs = [] if comparison is None else list(pairs_of(comparison))
    unit, decimals = "", None
    if isinstance(data, Board):
        unit = f" ({data.measure.unit})" if data.measure.unit else ""
        decimals = data.measure.decimals
    rows = [
        [
            Field(f"{pair['first']} - {pair['second']}"),
            Field(pair["family"]),
            Field(number(pair["difference"], decimals, signed=True)),
            Field(
                f"{number(pair['standard_difference'], 2, signed=True)} "
                f"{interval(pair['standard_low'], pair['standard_high'], 2, signed=True)}"
            ),
            Field(f"{pair['p']:.2g}"),
            Field(str(pair["subjects"])),
        ]
        for pair in pairs
    ]
    return PrintedTable(
        title=f"PAIRS: {data.title}",
        headings=["first - second", "family", f"difference{unit}", "standardised", "p", "subjects"],
        rows=rows,
        faint=[False] * len(rows),
        below=[
            "standardised: in each task divided by the floor's standard deviation between "
            "subjects, higher is better; simultaneous 95 % interval",
            "p: sign-flip permutation of subjects, max-T over all pairs and families",
        ],
    )


def as_csv(table: pd.DataFrame) -> str:
    """Write a tidy table as CSV, without a newline at its end."""
    return str(table.to_csv(index=False)).rstrip("\n")


def as_json(table: pd.DataFrame) -> str:
    """Write a tidy table as a JSON list of its rows."""
    # JSON has no infinity, and pandas would write it as if it were missing.
    rows = table.astype(object).replace({math.inf: "inf", -math.inf: "-inf"})
    return str(rows.to_json(orient="records", indent=1))


def _several(board: Board) -> tuple[FamilyComparison, ...]:
    return () if board.comparison is None else board.comparison.several


def _headings(board: Board, extra: Extra) -> list[str]:
    families = [family.family for family in _several(board)]
    pooled = [f"{family}, all targets" for family in board.pooled]
    return ["method", *pooled, *board.single_tasks, *families, *_overall(board), *extra]


def _pooled_bound(board: Board, family: str, title: str) -> str:
    pooled = board.pooled_bounds.get(family, {}).get(title)
    if pooled is None:
        return ""
    value = with_interval(pooled.estimate, board.measure.decimals)
    return f"{value} ({pooled.n_tasks} of {len(board.tasks_of(family))} tasks)"


def _overall(board: Board) -> list[str]:
    """Return the headings of the columns over all tasks."""
    if not board.measure.ranks:
        return []
    if len(board.tasks) > 1:
        return ["rank", "score", "tasks"]
    return ["score"] if any(row.normalized for row in board.methods) else []


def _row(board: Board, row: Row, extra: Extra) -> list[Field]:
    overall = {
        "rank": with_interval(row.rank, 1),
        "score": "—" if row.normalized is None else with_interval(row.normalized, 2),
        "tasks": f"{row.n_scored}/{len(board.tasks)}",
    }
    families = []
    for family in _several(board):
        gain = family.gain.get(row.label)
        families.append(
            _family_field(family, row.label, gain, board.measure.decimals)
            if row.label in family.labels
            else Field()
        )
    return [
        Field(f"{row.label}{_MARKS[row.role]}{_origin_marks(row)}"),
        *(
            Field(with_interval(pooled.get(row.label), board.measure.decimals))
            for pooled in board.pooled.values()
        ),
        *(
            Field(_score(board, row, task), best=board.is_best(row.label, task))
            for task in board.single_tasks
        ),
        *families,
        *(Field("" if row.role else overall[heading]) for heading in _overall(board)),
        *(Field(column.get(row.label, "")) for column in extra.values()),
    ]


def _score(board: Board, row: Row, task: str) -> str:
    score = row.scores.get(task)
    if score is None or not score.has_value:
        return "" if score is None or score.status == "done" else score.status
    decimals = board.measure.decimals
    text = number(score.value, decimals) + (UNUSUAL if board.unusual(score) else "")
    if not score.counts:
        text += f" {score.status}, n={score.n}"
    if letters := board.letters(row.label, task):
        text += f" {letters}"
    if score.from_reference is not None:
        text += f" Δ{number(score.from_reference.mean, decimals, signed=True)}"
    if bounds := interval(score.low, score.high, decimals):
        text += f" {bounds}"
    if len(score.seeds) > 1:
        text += f" ×{len(score.seeds)}"
        text += "" if math.isnan(score.spread) else f" ±{number(score.spread)}"
    return text


def _published(board: Board, papers: Sequence[Reference]) -> list[str]:
    """Return the published numbers, a line per paper, under a heading that marks them."""
    if not papers:
        return []
    lines = [f"{PUBLISHED}:"]
    for paper in papers:
        values = ", ".join(f"{task} {value:g}" for task, value in paper.values.items())
        lines.append(f"  {paper.label}: {board.metric} {values} ({paper.source}; {paper.data})")
    return lines
