"""Boards as plain text and Markdown."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Literal

import pandas as pd

from harmbench.leaderboard.board import Board, Row, Score
from harmbench.leaderboard.formatting import interval, number, with_interval
from harmbench.leaderboard.notes import UNUSUAL, notes
from harmbench.leaderboard.published import Reference

# Columns that plugins add: texts by method, by heading.
Extra = Mapping[str, Mapping[str, str]]
# How a part of the text stands out, where the terminal can show it.
Emphasis = Literal["title", "best", "control", "note"]

PUBLISHED = "PUBLISHED, another data set, for orientation only"
_GAP = 2  # characters between columns


def _plain(text: str, _: Emphasis) -> str:
    return text


def board_as_text(
    board: Board,
    extra: Extra,
    papers: Sequence[Reference],
    width: int,
    emphasize: Callable[[str, Emphasis], str] = _plain,
) -> str:
    """Write a board as a table for a terminal, with its notes below.

    Parameters
    ----------
    board
        The board.
    extra
        Columns of plugins.
    papers
        Published numbers, shown below the table.
    width
        Characters of a line; a wider board is continued in further tables.
    emphasize
        Returns a text as the terminal shows it emphasised.
    """
    published = _published(board, papers)
    below = [*published, "", *notes(board)] if published else notes(board)
    lines = [
        emphasize(board.title, "title"),
        *_lines(board, extra, width, emphasize),
        *(emphasize(line, "note") for line in (*below, "")),
    ]
    return "\n".join(lines)


def board_as_markdown(board: Board, extra: Extra, papers: Sequence[Reference]) -> str:
    """Write a board as a Markdown table; numbers of the best tier are bold.

    In a task with one tier no number is bold: no method is significantly better than another.
    """
    headings = _headings(board, extra)
    best = _best(board)
    lines = [
        f"**{board.title}**",
        "",
        f"| {' | '.join(headings)} |",
        f"|{'|'.join(['---', *['---:'] * (len(headings) - 1)])}|",
    ]
    for texts in _rows(board, extra):
        cells = [
            f"**{text}**" if (texts[0], heading) in best else text
            for text, heading in zip(texts, headings, strict=True)
        ]
        lines.append(f"| {' | '.join(text.replace('|', chr(92) + '|') for text in cells)} |")
    below = [*_published(board, papers), *notes(board)]
    lines += ["", *(f"- {line.strip().replace('*', chr(92) + '*')}" for line in below)]
    return "\n".join(lines)


def as_csv(table: pd.DataFrame) -> str:
    """Write a tidy table as CSV, without a newline at its end."""
    return str(table.to_csv(index=False)).rstrip("\n")


def as_json(table: pd.DataFrame) -> str:
    """Write a tidy table as a JSON list of its rows."""
    # JSON has no infinity, and pandas would write it as if it were missing.
    rows = table.astype(object).replace({math.inf: "inf", -math.inf: "-inf"})
    return str(rows.to_json(orient="records", indent=1))


def _headings(board: Board, extra: Extra) -> list[str]:
    return ["method", *board.tasks, *_overall(board), *extra]


def _overall(board: Board) -> list[str]:
    """Return the headings of the columns over all tasks."""
    if len(board.tasks) > 1:
        return ["rank", "score", "tasks"]
    return ["score"] if any(row.normalized for row in board.methods) else []


def _rows(board: Board, extra: Extra) -> list[list[str]]:
    """Return the texts of all rows; the tasks' reference values follow the ceiling."""
    rows = [_row(board, row, extra) for row in board.rows]
    ceilings = sum(row.control == "ceiling" for row in board.rows)
    for title, estimates in board.bounds.items():
        texts = [f"{title} °", *(with_interval(estimates.get(task)) for task in board.tasks)]
        rows.insert(ceilings, texts + [""] * (len(_headings(board, extra)) - len(texts)))
    return rows


def _row(board: Board, row: Row, extra: Extra) -> list[str]:
    overall = {
        "rank": with_interval(row.rank, 1),
        "score": "—" if row.normalized is None else with_interval(row.normalized, 2),
        "tasks": f"{row.n_scored}/{len(board.tasks)}",
    }
    return [
        f"{row.label} *" if row.control else row.label,
        *(_score(board, row.scores.get(task)) for task in board.tasks),
        *("" if row.control else overall[heading] for heading in _overall(board)),
        *(column.get(row.label, "") for column in extra.values()),
    ]


def _score(board: Board, score: Score | None) -> str:
    if score is None or not score.has_value:
        return "" if score is None or score.status == "done" else score.status
    text = number(score.value) + (UNUSUAL if board.unusual(score) else "")
    if score.tier is not None:
        text += f" ({score.tier})"
    if bounds := interval(score.low, score.high):
        text += f" {bounds}"
    if len(score.seeds) > 1:
        text += f" ×{len(score.seeds)}"
        text += "" if math.isnan(score.spread) else f" ±{number(score.spread)}"
    return text


def _best(board: Board) -> set[tuple[str, str]]:
    """Return the labels and tasks of the scores in the best tier, if there is another tier."""
    separated = {
        task for row in board.methods for task, score in row.scores.items() if (score.tier or 0) > 1
    }
    return {
        (row.label, task)
        for row in board.methods
        for task, score in row.scores.items()
        if score.tier == 1 and task in separated
    }


def _lines(
    board: Board, extra: Extra, width: int, emphasize: Callable[[str, Emphasis], str]
) -> Iterator[str]:
    """Yield the lines of the table, with as many columns at a time as fit."""
    best = _best(board)
    headings = _headings(board, extra)
    rows = [[text.replace(" [", "\n[") for text in row] for row in _rows(board, extra)]
    for columns in _blocks([headings, *rows], width):
        yield "".join(_aligned(headings[i], i, wide) for i, wide in columns).rstrip()
        yield "─" * (sum(wide for _, wide in columns) - _GAP)
        for row in rows:
            for line in zip_longest(*(row[i].split("\n") for i, _ in columns), fillvalue=""):
                cells = []
                for text, (i, wide) in zip(line, columns, strict=True):
                    cell = _aligned(text, i, wide)
                    if (row[0], headings[i]) in best:
                        cell = emphasize(cell, "best")
                    elif row[0][-1] in "*°":
                        cell = emphasize(cell, "control")
                    cells.append(cell)
                yield "".join(cells).rstrip()
        yield ""


def _aligned(text: str, column: int, width: int) -> str:
    """Pad a text to its column: names to the left, numbers to the right."""
    return text.ljust(width) if column == 0 else text.rjust(width - _GAP) + " " * _GAP


def _blocks(lines: Sequence[Sequence[str]], width: int) -> Iterator[list[tuple[int, int]]]:
    """Yield the columns of each table with their widths; all tables have the first column."""
    widths = [
        max(len(part) for text in column for part in text.split("\n")) + _GAP
        for column in zip(*lines, strict=True)
    ]
    block = [(0, widths[0])]
    for i, wide in enumerate(widths[1:], start=1):
        if len(block) > 1 and sum(each for _, each in block) + wide - _GAP > width:
            yield block
            block = [(0, widths[0])]
        block.append((i, wide))
    yield block


def _published(board: Board, papers: Sequence[Reference]) -> list[str]:
    """Return the published numbers, a line per paper, under a heading that marks them."""
    if not papers:
        return []
    lines = [f"{PUBLISHED}:"]
    for paper in papers:
        values = ", ".join(f"{task} {value:g}" for task, value in paper.values.items())
        lines.append(f"  {paper.label}: {board.metric} {values} ({paper.source}; {paper.data})")
    return lines
