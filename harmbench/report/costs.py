"""The report's page of costs against quality."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harmbench.leaderboard.board import Board, Row
from harmbench.leaderboard.groups import Group
from harmbench.report.board_view import element_id
from harmbench.report.cost_plots import COSTS, Cost, pareto
from harmbench.report.fields import number_field
from harmbench.report.figure import Plot


def prices_of(runs: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return the mean of every cost over a method's runs, by column and method."""
    done = runs[runs["status"] == "done"]
    return {
        cost.column: {
            str(k): float(v) for k, v in done.groupby("label")[cost.column].mean().items()
        }
        for cost in COSTS
        if cost.column in done
    }


def cost_page(group: Group, headlines: Sequence[str]) -> dict[str, Any]:
    """Lay out the page of costs against quality."""
    prices = prices_of(group.runs)
    parts = []
    for board in group.boards:
        quality = quality_of(board)
        if board.metric not in headlines or quality is None:
            continue
        drawn = quality_plots(quality, prices)
        if drawn:
            parts.append(
                {
                    "id": element_id("c", board.metric),
                    "title": quality.name,
                    "about": quality.about,
                    "plots": drawn,
                }
            )
    rows = []
    for label, runs in group.runs[group.runs["status"] == "done"].groupby("label"):
        costs = [prices.get(cost.column, {}).get(str(label), math.nan) for cost in COSTS]
        devices = ", ".join(sorted({str(device) for device in runs["device"] if device}))
        cells = [number_field(value) for value in costs]
        rows.append({"label": label, "cells": cells, "device": devices})
    return {"parts": parts, "costs": COSTS, "rows": rows}


@dataclass(frozen=True)
class Quality:
    """One number per method over all tasks of a board."""

    name: str
    about: str
    values: Mapping[str, float]
    higher_is_better: bool


def quality_on(board: Board, task: str) -> Quality:
    """Return the values of a board's methods on a task."""
    return Quality(
        board.measure.axis_title,
        f"Values on {task}.",
        {row.label: row.scores[task].value for row in board.methods if task in row.scores},
        higher_is_better=board.higher_is_better,
    )


def quality_of(board: Board) -> Quality | None:
    """Return the board's score; without one, the mean over the tasks that all methods have."""
    if any(row.normalized is not None for row in board.methods):
        return Quality(
            f"score by {board.metric}",
            "The score of the board: floor 0, reference line 1.",
            {row.label: row.normalized.mean for row in board.methods if row.normalized},
            higher_is_better=True,
        )
    shared = _shared(board, board.methods)
    if not shared:
        return None
    return Quality(
        board.measure.axis_title,
        f"Mean over the tasks that all methods have: {', '.join(shared)}.",
        {
            row.label: sum(row.scores[task].value for task in shared) / len(shared)
            for row in board.methods
            if all(task in row.scores for task in shared)
        },
        higher_is_better=board.higher_is_better,
    )


def quality_plot(quality: Quality, cost: Cost, prices: Mapping[str, float]) -> Plot | None:
    """Draw quality against a cost; None without a method that has a finite value of both."""
    return pareto(
        cost, prices, quality.values, quality.name, higher_is_better=quality.higher_is_better
    )


def quality_plots(
    quality: Quality, prices: Mapping[str, Mapping[str, float]]
) -> list[tuple[str, Plot]]:
    """Draw quality against each cost, with the column of the cost."""
    figures = [
        (cost.column, quality_plot(quality, cost, prices.get(cost.column, {}))) for cost in COSTS
    ]
    return [(column, figure) for column, figure in figures if figure is not None]


def _shared(board: Board, methods: Sequence[Row]) -> list[str]:
    """Return tasks on which every method that has any number has a finite one."""
    counted = [row for row in methods if row.n_scored]
    return [
        task
        for task in board.tasks
        if counted
        and all(task in row.scores and math.isfinite(row.scores[task].value) for row in counted)
    ]
