"""The page of a task, laid out for the report's templates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from harmbench.leaderboard.board import Board
from harmbench.report import score_plots
from harmbench.report.board_view import element_id
from harmbench.report.costs import prices_of, quality_on, quality_plots
from harmbench.report.fields import (
    TableField,
    by_value,
    number_field,
    scale_of,
    score_field,
    unit_and_direction,
)
from harmbench.report.viewer import Viewer, write_viewer
from harmbench.tracking.reader import cell_file


def metric_part(board: Board, task: str, summary: str, *, opened: bool) -> dict[str, Any]:
    """Lay out the table and the figures of one metric.

    Parameters
    ----------
    board, task
        The metric's board and the page's task.
    summary
        Summary of the metric, or empty.
    opened
        Whether the part is unfolded when the page opens.
    """
    scored = [row for row in board.rows if row.scores.get(task) and row.scores[task].has_value]
    floor = next((row for row in scored if row.control == "floor"), None)
    best = next((row for row in by_value(board, task) if not row.control), None)
    figures = [("intervals", score_plots.intervals(board, task))]
    if floor is not None:
        figures += [
            ("gain", score_plots.differences(board, task, floor)),
            ("subjects", score_plots.scatter(board, task, floor)),
        ]
    if best is not None:
        figures.append(("gap", score_plots.differences(board, task, best)))
    columns, rows = _score_table(board, task)
    return {
        "id": element_id("m", board.metric),
        "name": board.metric,
        "direction": unit_and_direction(board),
        "summary": summary,
        "columns": columns,
        "rows": rows,
        "plots": [(name, figure) for name, figure in figures if figure is not None],
        "open": opened,
    }


def _score_table(board: Board, task: str) -> tuple[list[dict[str, str]], list[dict[str, Any]]]:
    """Return the columns that have any text, and the rows."""
    columns = [
        {"name": board.metric, "better": "up" if board.higher_is_better else "down"},
        {"name": "low", "better": "up"},
        {"name": "high", "better": "up"},
        {"name": "subjects", "better": "up"},
        {"name": "seeds", "better": "up"},
        {"name": "sd over seeds", "better": "down"},
        {"name": "letters", "better": ""},
    ]
    rows = _score_rows(board, task)
    used = [k for k in range(len(columns)) if any(row["cells"][k].text for row in rows)]
    for row in rows:
        row["cells"] = [row["cells"][k] for k in used]
    return [columns[k] for k in used], rows


def _score_rows(board: Board, task: str) -> list[dict[str, Any]]:
    scale = scale_of(board, task)
    rows = []
    for row in board.rows:
        score = row.scores.get(task)
        if score is None:
            continue
        cells = [
            score_field(row, score, scale, "", details=False),
            number_field(score.low),
            number_field(score.high),
            _plain(score.n),
            _plain(len(score.seeds)),
            number_field(score.spread),
            _plain(board.letters(row.label, task)),
        ]
        rows.append(
            {
                "label": row.label,
                "control": row.role,
                "submitted": bool(row.submission),
                "imported": bool(row.bundles),
                "cells": cells,
            }
        )
    return rows


def _plain(value: object) -> TableField:
    return TableField(text=str(value), sort=str(value))


def task_costs(board: Board, task: str, runs: pd.DataFrame) -> dict[str, Any]:
    """Lay out the figures of a metric on one task against each cost."""
    plots = quality_plots(quality_on(board, task), prices_of(runs))
    return {"quality": board.metric, "plots": plots}


def slice_viewer(
    home: Path, folder: Path, stem: str, boards: Sequence[Board], task: str, runs: pd.DataFrame
) -> Viewer | None:
    """Write the pictures of the methods' slices, of each method's first seed.

    A method without a number on the page, such as one with a failed seed, has no pictures.

    Parameters
    ----------
    home
        Home folder, which holds the files of the runs.
    folder, stem
        Folder of the pictures, and the beginning of their names.
    boards, task
        The boards of the task; their methods are shown.
    runs
        Runs of the task.
    """
    done = runs[runs["status"] == "done"].sort_values("seed").drop_duplicates("label")
    scored = {
        row.label
        for board in boards
        for row in board.rows
        if task in row.scores and row.scores[task].has_value
    }
    by_label = done[done["label"].isin(scored)].set_index("label")
    # Controls only without methods: the floor is the source itself, the ceiling the reference.
    rows = [row for row in boards[0].methods if row.label in by_label.index]
    rows = rows or list(boards[0].rows)
    files = {}
    for row in rows:
        if row.label in by_label.index:
            run = by_label.loc[row.label]
            path = cell_file(home, str(run["cell"]), str(run["run_id"]), "slices.npz")
            if path is not None:
                files[row.label] = path
    return write_viewer(folder, stem, files)
