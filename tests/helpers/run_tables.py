"""Tables of runs as boards read them, with the values that a test gives, and their boards."""

from __future__ import annotations

import math

import pandas as pd

from harmbench.leaderboard.measure import measures
from harmbench.leaderboard.table import boards


def row(board, label):
    return next(row for row in board.rows if row.label == label)


def table_of(*rows):
    defaults = {
        "task": "a",
        "cohort": "tiny",
        "cohort_key": "c0",
        "kind": "phantom",
        "preset": "quick",
        "target": "",
        "fit_cohort": "",
        "fit_cohort_key": "",
        "split": "test",
        "fold": 0,
        "family": "scanners",
        "group": "",
        "headline": "psnr",
        "normalization": "minmax",
        "question": "q",
        "seed": 0,
        "control": "",
        "status": "done",
        "reason": "",
        "flags": {},
        "bounds": {},
        "draws": {},
        "submission": {},
        "missing": {},
        "diagnostic": "",
        "bundle": "",
        "environment": {"torch": "2.13.0"},
        "code": "",
        "subjects": '["p", "q"]',
        "lower_is_better": "",
        "metric_versions": {"psnr": "1"},
        "psnr": 20.0,
        "psnr.low": 19.0,
        "psnr.high": 21.0,
        "psnr.subjects": "19,21",
        "new": math.nan,
        "new.low": math.nan,
        "new.high": math.nan,
        "new.subjects": "",
    }
    return pd.DataFrame(
        {**defaults, "run_id": f"r{n}", "started": n, "method": row["label"], **row}
        for n, row in enumerate(rows)
    )


def boards_of(runs):
    return {
        (board.metric, board.edition): board
        for board in boards(runs, list(measures(runs).values()))
    }
