"""A board as a tidy table, for export."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from harmbench.leaderboard.board import Board, Row, Score
from harmbench.statistics.estimate import Estimate

_NO_ESTIMATE = Estimate(math.nan, math.nan, math.nan, 0)


def tidy(board: Board) -> pd.DataFrame:
    """Return a table with one row for every method and task."""
    return pd.DataFrame(
        [
            {
                "cohort": board.cohort,
                "cohort_key": board.cohort_key,
                "kind": board.kind,
                "preset": board.preset,
                "split": board.split,
                "normalization": board.normalization,
                "edition": board.edition,
                "metric": board.metric,
                "unit": board.measure.unit,
                "higher_is_better": board.higher_is_better,
                "method": row.label,
                "control": row.control,
                "task": task,
                **_score_columns(row.scores.get(task)),
                **_overall_columns(row),
                "tasks_known": row.n_scored,
                "tasks": len(board.tasks),
            }
            for row in board.rows
            for task in board.tasks
        ]
    )


def _score_columns(score: Score | None) -> dict[str, Any]:
    return {
        "status": "not run" if score is None else score.status,
        "reason": "" if score is None else score.reason,
        "value": math.nan if score is None else score.value,
        "low": math.nan if score is None else score.low,
        "high": math.nan if score is None else score.high,
        "subjects": 0 if score is None else score.n,
        "seeds": 0 if score is None else len(score.seeds),
        "seed_sd": math.nan if score is None else score.spread,
        "tier": None if score is None else score.tier,
        "p": math.nan if score is None else score.p,
        "flagged_scans": 0 if score is None else len(score.flags),
    }


def _overall_columns(row: Row) -> dict[str, Any]:
    rank, normalized = row.rank or _NO_ESTIMATE, row.normalized or _NO_ESTIMATE
    return {
        "mean_rank": rank.mean,
        "mean_rank_low": rank.low,
        "mean_rank_high": rank.high,
        "normalized": normalized.mean,
        "normalized_low": normalized.low,
        "normalized_high": normalized.high,
        "normalized_tasks": normalized.n,
    }
