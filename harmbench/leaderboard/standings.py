"""The leaderboard proper: methods by families of tasks, each task by its headline metric."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from harmbench.leaderboard.board import Board, Row
from harmbench.leaderboard.families import Comparison, FamilyComparison, compare_families
from harmbench.leaderboard.overall import Overall, overall
from harmbench.leaderboard.ranking_options import RankingOptions
from harmbench.leaderboard.scores import TaskColumn
from harmbench.statistics.estimate import Estimate


@dataclass(frozen=True, kw_only=True)
class Standing:
    """The standing of one method.

    Attributes
    ----------
    label, method
        Name with and without the changed settings.
    rank
        Mean over families of the mean rank in each, with its 95 % interval over subjects; `n` is
        the number of tasks with a number. NaN for an only method.
    family_ranks
        Mean rank by family; NaN for an only method.
    submission, bundles
        As of `Row`; bundles of all tasks.
    """

    label: str
    method: str
    rank: Estimate
    family_ranks: Mapping[str, float]
    submission: Mapping[str, str] = field(default_factory=dict)
    bundles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Standings:
    """Methods by families of tasks, of cells with the same data and preset.

    Attributes
    ----------
    board
        A board of the same data, for its title.
    columns
        The task columns that count.
    unranked_tasks
        Tasks without a vote, or without a number in a metric that ranks.
    rows
        Ranked methods, from the best rank to the worst.
    comparison
        Differences by family.
    floor
        Label of the floor, or None.
    weights
        Weight of each family's vote.
    """

    board: Board = field(repr=False)
    columns: tuple[TaskColumn, ...] = field(repr=False)
    unranked_tasks: tuple[str, ...]
    rows: tuple[Standing, ...]
    comparison: Comparison = field(repr=False)
    floor: str | None
    weights: Mapping[str, float]

    @property
    def families(self) -> tuple[str, ...]:
        """Names of the families that vote."""
        return tuple(self.weights)

    def compared(self, family: str) -> FamilyComparison | None:
        """Return the comparison of a family; None without values by subject."""
        return next((part for part in self.comparison.families if part.family == family), None)

    @property
    def title(self) -> str:
        """Cohort and preset in one line."""
        return f"LEADERBOARD on {self.board.data_title}"


def standings(
    boards: Sequence[Board], runs: pd.DataFrame, options: RankingOptions
) -> Standings | None:
    """Rank methods over the families of boards that differ in the metric only.

    Parameters
    ----------
    boards
        One per metric.
    runs
        Runs of the boards: they name each task's headline metrics.
    options
        Choices of the ranking.

    Returns
    -------
    Standings or None
        None if no task has a number of a ranked method in a headline metric.
    """
    by_metric = {board.metric: board for board in boards if board.measure.ranks}
    chosen = {
        task: _headline_column(by_metric, task, names)
        for task, names in _headlines(boards, runs).items()
    }
    columns = [column for column in chosen.values() if column is not None]
    rows = {row.label: row for board in by_metric.values() for row in board.rows if not row.control}
    ranked = [
        label
        for label, row in rows.items()
        if options.ranked(label=label, method=row.method, control=row.control)
    ]
    floor = next((board.floor for board in boards if board.floor), None)
    comparison, results = _compared(by_metric.values(), columns, ranked, floor, options)
    placed = [
        Standing(
            label=label,
            method=rows[label].method,
            rank=result.rank,
            family_ranks=result.family_ranks,
            submission=rows[label].submission,
            bundles=_bundles(by_metric.values(), columns, label),
        )
        for label, result in results.items()
        if result.rank is not None
    ]
    if not placed:
        return None
    return Standings(
        board=boards[0],
        columns=tuple(columns),
        unranked_tasks=tuple(task for task, column in chosen.items() if column is None),
        rows=tuple(sorted(placed, key=lambda row: (row.rank.mean, row.label))),
        comparison=comparison,
        floor=floor,
        weights={family: options.weights.get(family, 1.0) for family in placed[0].family_ranks},
    )


def _compared(
    boards: Iterable[Board],
    columns: Sequence[TaskColumn],
    ranked: Sequence[str],
    floor: str | None,
    options: RankingOptions,
) -> tuple[Comparison, Mapping[str, Row | Overall]]:
    """Compare the ranked methods on the voting tasks; return the result of each by its label."""
    whole = next((board for board in boards if _voting(board) == columns), None)
    if whole is not None and whole.comparison is not None:
        # All tasks count by one metric: its board has been ranked already.
        return whole.comparison, {row.label: row for row in whole.rows}
    # A margin has the unit of one metric.
    comparison = compare_families(columns, ranked, floor)
    return comparison, overall(columns, ranked, floor, options.weights, normalize=False)


def _headlines(boards: Sequence[Board], runs: pd.DataFrame) -> dict[str, list[str]]:
    """Return the headline metrics of each task of the boards, in the order of the tasks."""
    headlines = runs.drop_duplicates("task", keep="last").set_index("task")["headline"]
    tasks = sorted({task for board in boards for task in board.tasks})
    return {task: str(headlines.get(task, "")).split(",") for task in tasks}


def _headline_column(
    by_metric: Mapping[str, Board], task: str, names: Sequence[str]
) -> TaskColumn | None:
    """Return a task's column of its first metric that has one; None if it does not vote."""
    columns = (by_metric[name].columns.get(task) for name in names if name in by_metric)
    first = next((column for column in columns if column is not None), None)
    return first if first is not None and first.votes else None


def _bundles(
    boards: Iterable[Board], columns: Sequence[TaskColumn], label: str
) -> dict[str, tuple[str, ...]]:
    """Return the tasks with imported results of a method, by the origin of their bundle."""
    counted = {(column.task, column.measure.name) for column in columns}
    tasks: dict[str, set[str]] = {}
    for board in boards:
        for row in board.rows:
            for origin, of_bundle in row.bundles.items() if row.label == label else ():
                named = {task for task in of_bundle if (task, board.metric) in counted}
                if named:
                    tasks.setdefault(origin, set()).update(named)
    return {origin: tuple(sorted(named)) for origin, named in sorted(tasks.items())}


def _voting(board: Board) -> list[TaskColumn]:
    return [column for column in board.columns.values() if column.votes]
