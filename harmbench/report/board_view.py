"""A board laid out for the report's templates."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from harmbench.leaderboard.board import Board, Row
from harmbench.leaderboard.formatting import number
from harmbench.leaderboard.groups import LINKED_TASKS, Group
from harmbench.leaderboard.notes import notes
from harmbench.leaderboard.published import references
from harmbench.plugins import Registry
from harmbench.report.fields import (
    ColourScale,
    TableField,
    estimate_field,
    scale_of,
    score_field,
    unit_and_direction,
)

# Columns that plugins add: texts by method, by heading.
Extra = Mapping[str, Mapping[str, str]]

# Limits of the front page, so that it opens at once on a phone.
_FRONT_FIELDS = 1200
_FRONT_NOTES = 40


def element_id(prefix: str, metric: str) -> str:
    """Return the HTML id of a metric's part of a page.

    Examples
    --------
    >>> element_id("b", "psnr_foreground")
    'b-psnr-foreground'
    """
    return f"{prefix}-{re.sub(r'[^a-z0-9]+', '-', metric.lower())}"


def board_view(
    group: Group, board: Board, extra: Extra, root: str, *, front: bool
) -> dict[str, Any]:
    """Lay a board out.

    Parameters
    ----------
    group, board
        The board and its group.
    extra
        Columns of plugins.
    root
        Path from the page to the group's folder.
    front
        Whether the page is the front page, which shows part of a large board.
    """
    tasks, rows, left_out = _front_part(board) if front else (board.tasks, board.rows, "")
    several = len(board.tasks) > 1 and board.measure.ranks
    normalized = any(row.normalized is not None for row in rows)
    scales = {task: scale_of(board, task) for task in tasks}
    lines = []
    for row in rows:
        cells = _overall_fields(board, row, several=several, normalized=normalized)
        cells += _family_fields(board, row)
        cells += _task_fields(group, board, row, tasks, scales, root)
        cells += [TableField(text=texts.get(row.label, "")) for texts in extra.values()]
        lines.append(
            {
                "label": row.label,
                "control": row.role,
                "submitted": bool(row.submission),
                "imported": bool(row.bundles),
                "cells": cells,
            }
        )
    empty = 2 * several + normalized
    lines += [_bound_line(board, title, tasks, empty, len(extra)) for title in board.bounds]
    remarks = notes(board)
    columns = _columns(board, tasks, extra, several=several, normalized=normalized)
    return {
        "id": element_id("b", board.metric),
        "metric": board.metric,
        "direction": unit_and_direction(board),
        "coloured": board.measure.ranks,
        "overview": False,
        "columns": columns,
        "rows": lines,
        "left_out": left_out,
        "whole": f"{root}index.html",
        "notes": remarks[:_FRONT_NOTES] if front else remarks,
    }


def _bound_line(
    board: Board, title: str, tasks: Sequence[str], before: int, after: int
) -> dict[str, Any]:
    """Lay out a reference value of the tasks, with empty fields before and after its numbers."""
    bound = board.bounds[title]
    families = () if board.comparison is None else board.comparison.several
    cells = [TableField() for _ in range(before)]
    cells += [_pooled_bound(board, family, title) for family in board.pooled]
    cells += [TableField() for _ in families]
    cells += [estimate_field(bound.get(task)) for task in tasks]
    cells += [TableField() for _ in range(after)]
    return {
        "label": title,
        "control": "reference value",
        "submitted": False,
        "imported": False,
        "cells": cells,
    }


def _task_fields(
    group: Group,
    board: Board,
    row: Row,
    tasks: Sequence[str],
    scales: Mapping[str, ColourScale | None],
    root: str,
) -> list[TableField]:
    """Return the fields of a method on every task."""
    fields = []
    for task in tasks:
        score = row.scores.get(task)
        fields.append(
            score_field(
                row,
                score,
                scales[task],
                f"{root}{group.files[task]}#r{group.labels[row.label]}",
                letters=board.letters(row.label, task),
                unusual=score is not None and bool(board.unusual(score)),
            )
        )
    return fields


def _family_fields(board: Board, row: Row) -> list[TableField]:
    """Return the scores over all targets, and the gains of families with several tasks."""
    families = () if board.comparison is None else board.comparison.several
    decimals = board.measure.decimals
    pooled = [estimate_field(scores.get(row.label), decimals) for scores in board.pooled.values()]
    gains = [
        estimate_field(
            family.gain.get(row.label),
            decimals,
            signed=True,
            letters=family.letters.get(row.label, ""),
        )
        for family in families
    ]
    return [*pooled, *gains]


def _pooled_bound(board: Board, family: str, title: str) -> TableField:
    pooled = board.pooled_bounds.get(family, {}).get(title)
    if pooled is None:
        return TableField()
    field = estimate_field(pooled.estimate, board.measure.decimals)
    tasks = f"{pooled.n_tasks} of {len(board.tasks_of(family))} tasks"
    return replace(field, note=f"{field.note} {tasks}".strip())


def _front_part(board: Board) -> tuple[Sequence[str], Sequence[Row], str]:
    """Return the tasks and rows that the front page shows, and what it leaves out in words."""
    tasks, rows = board.tasks, board.rows
    if len(tasks) * len(rows) <= _FRONT_FIELDS:
        return tasks, rows, ""
    tasks = tasks[:LINKED_TASKS]
    most = max(1, _FRONT_FIELDS // len(tasks))
    controls = [row for row in rows if row.control]
    best = board.methods[: max(1, most - len(controls))]
    shown = {row.label for row in (*controls, *best)}
    left_out = (
        f"The {len(best)} best of {len(rows) - len(controls)} methods on "
        f"{len(tasks)} of {len(board.tasks)} tasks."
    )
    return tasks, [row for row in rows if row.label in shown], left_out


def _overall_fields(board: Board, row: Row, *, several: bool, normalized: bool) -> list[TableField]:
    """Return the fields over all tasks: rank, tasks and score."""
    fields = []
    if several:
        fields.append(estimate_field(row.rank, 1))
        fields.append(TableField(text=f"{row.n_scored}/{len(board.tasks)}", sort=str(row.n_scored)))
    if normalized:
        fields.append(estimate_field(row.normalized, 2))
    return fields


def _columns(
    board: Board, tasks: Sequence[str], extra: Extra, *, several: bool, normalized: bool
) -> list[dict[str, Any]]:
    better = "up" if board.higher_is_better else "down"
    columns = []
    if several:
        columns.append({"name": "rank", "better": "down", "task": False})
        columns.append({"name": "tasks", "better": "up", "task": False})
    if normalized:
        columns.append({"name": "score", "better": "up", "task": False})
    columns += [
        {"name": f"{family}, all targets", "better": better, "task": False}
        for family in board.pooled
    ]
    if board.comparison is not None:
        columns += [
            {"name": f"{family.family} (mean)", "better": better, "task": False}
            for family in board.comparison.several
        ]
    columns += [{"name": task, "better": better, "task": True} for task in tasks]
    columns += [{"name": heading, "better": "", "task": False} for heading in extra]
    return columns


def published_tables(registry: Registry, group: Group) -> list[dict[str, Any]]:
    """Lay out the published numbers of a group's methods, a table per metric."""
    tables = []
    for board in group.boards:
        papers = references(registry, board)
        tasks = list(dict.fromkeys(task for paper in papers for task in paper.values))
        rows = [
            {
                "label": paper.label,
                "source": paper.source,
                "data": paper.data,
                "values": [
                    number(paper.values[task]) if task in paper.values else "" for task in tasks
                ],
            }
            for paper in papers
        ]
        if rows:
            tables.append({"metric": board.metric, "tasks": tasks, "rows": rows})
    return tables
