"""Boards as tidy tables, for export."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd

from harmbench.leaderboard.board import Board, Row
from harmbench.leaderboard.families import Comparison
from harmbench.leaderboard.scores import Score
from harmbench.leaderboard.standings import Standings
from harmbench.statistics.estimate import Estimate

_NO_ESTIMATE = Estimate(math.nan, math.nan, math.nan, 0)


def tidy(board: Board) -> pd.DataFrame:
    """Return a table with one row for every method and task."""
    return pd.DataFrame(
        [
            {
                **_board_columns(board),
                "method": row.label,
                "control": row.control,
                "ranked": row.ranked,
                **_submission_columns(row),
                "task": task,
                "family": board.columns[task].family,
                "group": board.columns[task].group,
                "target": board.columns[task].target,
                **_score_columns(row.scores.get(task)),
                "imported_from": _bundle(row, task),
                **_family_columns(board, row, task),
                **_overall_columns(row),
                "tasks_known": row.n_scored,
                "tasks": len(board.tasks),
            }
            for row in board.rows
            for task in board.tasks
        ]
    )


def tidy_pairs(data: Board | Standings) -> pd.DataFrame:
    """Return a table with one row for every pair of ranked methods and family."""
    board = data if isinstance(data, Board) else data.board
    columns = _data_columns(board) | {"metric": board.metric}
    if isinstance(data, Standings):
        columns["metric"] = "headline"
    pairs = [] if data.comparison is None else pairs_of(data.comparison)
    return pd.DataFrame([{**columns, **pair} for pair in pairs])


def pairs_of(comparison: Comparison) -> Iterator[dict[str, Any]]:
    """Yield the difference, interval and p-value of every pair of methods in every family."""
    for family in comparison.families:
        for i, first in enumerate(family.labels):
            for j in range(i + 1, len(family.labels)):
                second = family.labels[j]
                plain = math.nan
                if first in family.gain and second in family.gain:
                    plain = family.gain[first].mean - family.gain[second].mean
                yield {
                    "family": family.family,
                    "family_tasks": " ".join(family.tasks),
                    "first": first,
                    "second": second,
                    "difference": plain,
                    "standard_difference": family.difference[i, j],
                    "standard_low": family.low[i, j],
                    "standard_high": family.high[i, j],
                    "p": family.p[i, j],
                    "subjects": int(family.n[i, j]),
                }


def _board_columns(board: Board) -> dict[str, Any]:
    return {
        **_data_columns(board),
        "metric": board.metric,
        "unit": board.measure.unit,
        "purpose": str(board.measure.purpose),
        "higher_is_better": board.higher_is_better,
    }


def _submission_columns(row: Row) -> dict[str, Any]:
    """Return the origin of images that were harmonised elsewhere; empty for a method."""
    names = ("author", "date", "reference", "digest")
    return {f"submission_{name}": row.submission.get(name, "") for name in names}


def _bundle(row: Row, task: str) -> str:
    """Return the origin of a score's imported results; empty if there are none."""
    return "; ".join(origin for origin, tasks in row.bundles.items() if task in tasks)


def _data_columns(board: Board) -> dict[str, Any]:
    return {
        "cohort": board.cohort,
        "cohort_key": board.cohort_key,
        "fit_cohort": board.fit_cohort,
        "fit_cohort_key": board.fit_cohort_key,
        "kind": board.kind,
        "preset": board.preset,
        "split": board.split,
        "normalization": board.normalization,
        "edition": board.edition,
    }


def _score_columns(score: Score | None) -> dict[str, Any]:
    reference = None if score is None else score.from_reference
    reference = reference or _NO_ESTIMATE
    return {
        "status": "not run" if score is None else score.status,
        "reason": "" if score is None else score.reason,
        "value": math.nan if score is None else score.value,
        "low": math.nan if score is None else score.low,
        "high": math.nan if score is None else score.high,
        "subjects": 0 if score is None else score.n,
        "seeds": 0 if score is None else len(score.seeds),
        "seed_sd": math.nan if score is None else score.spread,
        "from_reference": reference.mean,
        "from_reference_low": reference.low,
        "from_reference_high": reference.high,
        "flagged_scans": 0 if score is None else len(score.flags),
    }


def _family_columns(board: Board, row: Row, task: str) -> dict[str, Any]:
    """Return the letters and the gain of a method in the task's family."""
    families = () if board.comparison is None else board.comparison.families
    family = next((part for part in families if task in part.tasks), None)
    gain = (family.gain.get(row.label) if family is not None else None) or _NO_ESTIMATE
    return {
        "family_letters": "" if family is None else family.letters.get(row.label, ""),
        "family_gain": gain.mean,
        "family_gain_low": gain.low,
        "family_gain_high": gain.high,
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
