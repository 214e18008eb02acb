"""The leaderboard: boards of all recorded runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from harmbench.leaderboard.board import Board, Measure, Row, Score
from harmbench.leaderboard.overall import overall
from harmbench.leaderboard.scores import run_scores, scores_of_task
from harmbench.statistics.estimate import Estimate

# Columns that cells on one board have in common.
GROUP = ["cohort", "cohort_key", "kind", "preset", "split", "normalization"]


def measures(runs: pd.DataFrame, units: Mapping[str, str] | None = None) -> dict[str, Measure]:
    """Return the metrics that runs hold, by name.

    Directions are read from the runs, so that metrics of plugins that are not installed here
    can be shown.

    Parameters
    ----------
    runs
        As returned by `harmbench.tracking.reader.runs`.
    units
        Units of the metrics that are registered here.
    """
    suffix = ".subjects"
    lower = {name for names in runs["lower_is_better"] for name in names.split(",")}
    columns = map(str, runs.columns)
    names = [column.removesuffix(suffix) for column in columns if column.endswith(suffix)]
    units = units or {}
    return {name: Measure(name, name not in lower, units.get(name, "")) for name in names}


def boards(
    runs: pd.DataFrame, measures: Sequence[Measure], *, tasks: Sequence[str] | None = None
) -> Iterator[Board]:
    """Make boards of recorded runs, newest cohort first.

    Parameters
    ----------
    runs
        As returned by `harmbench.tracking.reader.runs`.
    measures
        Metrics to show.
    tasks
        Tasks to show; all if None.

    Yields
    ------
    Board
        One for every cohort, preset, split, normalisation, edition and metric with at least one
        number.
    """
    if runs.empty:
        return
    if tasks is not None:
        runs = runs[runs["task"].isin(tasks)]
    runs = runs.sort_values("started", kind="stable")
    boards_by_age = [
        (int(cells["started"].max()), _board(cells, measure))
        for measure in measures
        if measure.name in runs and runs[measure.name].notna().any()
        for cells in _cells_by_board(runs, measure)
    ]
    # Stable: boards of equal age keep the order of the measures.
    for _, board in sorted(boards_by_age, key=lambda item: -item[0]):
        yield board


def _cells_by_board(runs: pd.DataFrame, measure: Measure) -> Iterator[pd.DataFrame]:
    """Yield the newest run of every cell of each board with a number of the metric."""
    runs = _with_edition(runs, measure)
    # Code may have changed: of several runs of a cell the newest counts.
    runs = runs.drop_duplicates([*GROUP, "edition", "label", "task", "seed"], keep="last")
    for _, cells in runs.groupby([*GROUP, "edition"], sort=False):
        if cells[measure.name].notna().any():
            yield cells


def _with_edition(runs: pd.DataFrame, measure: Measure) -> pd.DataFrame:
    """Add column `edition`: the number of newer definitions of the task or the metric.

    Different test data share an edition where no seed has both, as in a task that draws them
    by seed. Runs without a number of the metric have the newest edition of their question.
    """
    versions = [by_name.get(measure.name, "") for by_name in runs["metric_versions"]]
    runs = runs.assign(version=versions)
    measured = (runs["version"] != "") | runs[measure.name].notna()
    editions: dict[tuple[Any, ...], int] = {}
    newest: dict[tuple[Any, ...], int] = {}
    seeds_by_edition: dict[tuple[Any, ...], list[set[int]]] = {}
    names = [*GROUP, "task", "question"]
    for (*task, question, version), cells in (
        runs[measured].iloc[::-1].groupby([*names, "version"], sort=False)
    ):
        seeds, present = set(cells["seed"]), seeds_by_edition.setdefault(tuple(task), [])
        edition = next((k for k, others in enumerate(present) if not seeds & others), len(present))
        if edition == len(present):
            present.append(set())
        present[edition] |= seeds
        editions[*task, question, version] = edition
        newest.setdefault((*task, question), edition)
    keys = zip(*(runs[name] for name in [*names, "version"]), strict=True)
    return runs.assign(edition=[editions.get(key, newest.get(key[:-1], 0)) for key in keys])


def _board(runs: pd.DataFrame, measure: Measure) -> Board:
    group = runs.iloc[-1]
    tasks = tuple(sorted(runs.loc[runs[measure.name].notna(), "task"].unique()))
    runs = runs[runs["task"].isin(tasks)]
    controls = dict(zip(runs["label"], runs["control"], strict=True))
    columns = {
        task: scores_of_task(by_label, measure, controls)
        for task, by_label in run_scores(runs, measure.name).items()
    }
    scores = {task: by_label for task, (by_label, _) in columns.items()}
    floor = min((label for label, control in controls.items() if control == "floor"), default=None)
    standings = overall(
        {task: subjects for task, (_, subjects) in columns.items()},
        {
            task: {label: score.value for label, score in by_label.items()}
            for task, by_label in scores.items()
        },
        [label for label, control in controls.items() if not control],
        floor,
        {task: reference_line(by_label, controls) for task, by_label in scores.items()},
        higher_is_better=measure.higher_is_better,
        decibels=measure.unit == "dB",
    )
    rows = []
    for label, method in dict(zip(runs["label"], runs["method"], strict=True)).items():
        rank, normalized = standings.get(label, (None, None))
        row = Row(
            label=label,
            method=method,
            control=controls[label],
            scores={task: scores[task][label] for task in tasks if label in scores[task]},
            rank=rank,
            normalized=normalized,
        )
        rows.append(row)
    return Board(
        cohort=str(group["cohort"]),
        cohort_key=str(group["cohort_key"]),
        kind=str(group["kind"]),
        preset=str(group["preset"]),
        split=str(group["split"]),
        normalization=str(group["normalization"]),
        edition=int(group["edition"]),
        measure=measure,
        tasks=tasks,
        rows=tuple(sorted(rows, key=_position)),
        bounds=_bounds(runs, measure.name),
    )


def reference_line(scores: Mapping[str, Score], controls: Mapping[str, str]) -> str | None:
    """Return the label of the control at 1 on a task's scale; a finite number goes first."""
    ceilings = [
        label for label, score in scores.items() if controls[label] == "ceiling" and score.has_value
    ]
    return min(ceilings, key=lambda label: (math.isinf(scores[label].value), label), default=None)


def _position(row: Row) -> tuple[int, float, str]:
    """Return the sort key of a row: ceiling, methods by mean rank, floor."""
    section = {"ceiling": 0, "floor": 2}.get(row.control, 1)
    return section, row.rank.mean if row.rank is not None else 0.0, row.label


def _bounds(runs: pd.DataFrame, metric: str) -> dict[str, dict[str, Estimate]]:
    """Return the tasks' own reference values, by title and task, of the newest run of each."""
    estimates: dict[str, dict[str, Estimate]] = {}
    newest = runs[runs["bounds"].astype(bool)].drop_duplicates("task", keep="last")
    for task, bounds in zip(newest["task"], newest["bounds"], strict=True):
        for title, numbers in bounds.items():
            if metric in numbers:
                mean, low, high = (float(numbers[metric][name]) for name in ("mean", "low", "high"))
                estimate = Estimate(mean, low, high, int(numbers[metric]["n"]))
                estimates.setdefault(title, {})[str(task)] = estimate
    return estimates
