"""The leaderboard: methods by tasks for one metric, of cells that may be compared."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

_GROUP = ["cohort", "cohort_key", "kind", "preset"]


@dataclass(frozen=True)
class Score:
    """One field of the table.

    Attributes
    ----------
    value
        Mean over people and seeds; NaN where there is none.
    low, high
        Mean over seeds of the bounds of the 95 % interval over people.
    seeds
        Number of seeds.
    status
        The worst status among the seeds: a failed seed never hides behind a good one.
    reason
        Why there is no number.
    """

    value: float
    low: float
    high: float
    seeds: int
    status: str
    reason: str

    @property
    def known(self) -> bool:
        """Whether there is a number; infinity is one."""
        return not math.isnan(self.value)


@dataclass(frozen=True)
class Board:
    """Methods by tasks for one metric within one cohort and preset.

    Attributes
    ----------
    cohort, kind, preset, cohort_key
        What the cells have in common; numbers of different ones never share a board.
    metric
        The metric's name.
    higher_is_better
        Its direction.
    tasks
        Columns, by name.
    rows
        Methods from best to worst between the controls: the floor comes last and the
        ceiling first, and whoever lacks a task comes after those who lack none.
    """

    cohort: str
    kind: str
    preset: str
    cohort_key: str
    metric: str
    higher_is_better: bool
    tasks: tuple[str, ...]
    rows: tuple[tuple[str, dict[str, Score]], ...]
    controls: frozenset[str]

    def mean(self, scores: dict[str, Score]) -> float:
        """Mean over all tasks; NaN if one is missing, so that a gap never flatters."""
        values = [scores[task].value for task in self.tasks if task in scores]
        return sum(values) / len(values) if len(values) == len(self.tasks) else math.nan


def directions(runs: pd.DataFrame) -> dict[str, bool]:
    """Return the metrics that runs hold, each with whether higher is better.

    The runs say so themselves, so that those of somebody else's plugin can be read.
    """
    suffix = ".low"
    lower = {name for names in runs["lower_is_better"] for name in names.split(",")}
    columns = map(str, runs.columns)
    names = [column.removesuffix(suffix) for column in columns if column.endswith(suffix)]
    return {name: name not in lower for name in names}


def boards(
    runs: pd.DataFrame,
    metrics: Mapping[str, bool],
    *,
    tasks: Sequence[str] | None = None,
) -> Iterator[Board]:
    """Lay recorded runs out as boards, newest cohort first.

    Parameters
    ----------
    runs
        As returned by `harmbench.tracking.runs`.
    metrics
        Metrics to show, each with whether higher is better.
    tasks
        Tasks to show; all if None.

    Yields
    ------
    Board
        One for every cohort, preset and metric of which there is any number.
    """
    if runs.empty:
        return
    if tasks is not None:
        runs = runs[runs["task"].isin(tasks)]
    # Code or settings may have changed since: of the same question the newest answer counts.
    runs = runs.sort_values("started").drop_duplicates(
        [*_GROUP, "label", "task", "seed"], keep="last"
    )
    newest = runs.groupby(_GROUP)["started"].max().sort_values(ascending=False)
    for group in newest.index:
        cohort, cohort_key, kind, preset = group
        chosen = runs[(runs[_GROUP] == list(group)).all(axis=1)]
        for metric, higher in metrics.items():
            if metric in chosen and chosen[metric].notna().any():
                yield _board(chosen, metric, higher, (cohort, kind, preset, cohort_key))


def _board(
    runs: pd.DataFrame, metric: str, higher: bool, names: tuple[str, str, str, str]
) -> Board:
    known = runs[runs[metric].notna()]
    tasks = tuple(sorted(known["task"].unique()))
    rows = {
        str(label): {
            str(task): _score(cells, metric)
            for task, cells in group[group["task"].isin(tasks)].groupby("task")
        }
        for label, group in runs.groupby("label")
    }
    control = runs.drop_duplicates("label").set_index("label")["control"]

    def rank(row: tuple[str, dict[str, Score]]) -> tuple[int, int, float]:
        label, scores = row
        place = {"ceiling": 0, "floor": 2}.get(control[label], 1)
        values = [score.value for score in scores.values() if score.known]
        mean = sum(values) / len(values) if values else math.inf
        return place, len(tasks) - len(values), -mean if higher and values else mean

    ordered = sorted(((label, scores) for label, scores in rows.items() if scores), key=rank)
    controls = frozenset(str(label) for label in control.index[control != ""])
    cohort, kind, preset, key = names
    return Board(cohort, kind, preset, key, metric, higher, tasks, tuple(ordered), controls)


_SEVERITY = ("done", "skipped", "diverged", "failed")


def _score(cells: pd.DataFrame, metric: str) -> Score:
    worst = max(cells["status"], key=lambda status: _SEVERITY.index(status))
    reason = next(iter(cells.loc[cells["status"] == worst, "reason"]), "")
    if worst != "done":
        return Score(math.nan, math.nan, math.nan, len(cells), worst, reason)

    def mean(name: str) -> float:
        return float(cells[name].mean()) if name in cells else math.nan

    return Score(mean(metric), mean(f"{metric}.low"), mean(f"{metric}.high"), len(cells), worst, "")


def tidy(board: Board) -> pd.DataFrame:
    """Lay a board out with one row for every method and task, for export."""
    return pd.DataFrame(
        [
            {
                "cohort": board.cohort,
                "cohort_key": board.cohort_key,
                "kind": board.kind,
                "preset": board.preset,
                "method": label,
                "control": label in board.controls,
                "task": task,
                "metric": board.metric,
                "value": score.value,
                "low": score.low,
                "high": score.high,
                "seeds": score.seeds,
                "status": score.status,
                "reason": score.reason,
            }
            for label, scores in board.rows
            for task, score in scores.items()
        ]
    )
