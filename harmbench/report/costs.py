"""The report's page of costs against quality."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import pandas as pd

from harmbench.leaderboard.formatting import axis_title
from harmbench.leaderboard.groups import Group
from harmbench.leaderboard.table import Board, Row
from harmbench.report import plots
from harmbench.report.fields import number
from harmbench.report.plots import COSTS


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
        methods = [row for row in board.rows if not row.control]
        if any(row.normalized is not None for row in methods):
            quality = f"score by {board.metric}"
            values = {row.label: row.normalized.mean for row in methods if row.normalized}
            about = "The score of the board: 0 as the floor, 1 as the ceiling."
            higher = True
        else:
            shared = _shared(board, methods)
            if not shared:
                continue
            quality = axis_title(board)
            values = {
                row.label: sum(row.scores[task].value for task in shared) / len(shared)
                for row in methods
                if all(task in row.scores for task in shared)
            }
            about = f"Mean over the tasks that all methods have: {', '.join(shared)}."
            higher = board.higher_is_better
        drawn = [
            (cost.column, plots.pareto(cost, prices.get(cost.column, {}), values, quality,
                                       higher_is_better=higher))
            for cost in COSTS
        ]  # fmt: skip
        found = [(name, plot) for name, plot in drawn if plot is not None]
        if found and board.metric in headlines:
            identity = f"c-{re.sub(r'[^a-z0-9]+', '-', board.metric.lower())}"
            parts.append({"id": identity, "title": quality, "about": about, "plots": found})
    rows = []
    for label, of_label in group.runs[group.runs["status"] == "done"].groupby("label"):
        cells = [number(prices.get(cost.column, {}).get(str(label), math.nan)) for cost in COSTS]
        devices = ", ".join(sorted({str(device) for device in of_label["device"] if device}))
        rows.append({"label": label, "cells": cells, "device": devices})
    return {"parts": parts, "costs": COSTS, "rows": rows}


def _shared(board: Board, methods: Sequence[Row]) -> list[str]:
    """Return tasks on which every method that has any number has a finite one."""
    counted = [row for row in methods if row.known]
    return [
        task
        for task in board.tasks
        if counted
        and all(task in row.scores and math.isfinite(row.scores[task].value) for row in counted)
    ]
