"""The leaderboard: boards of all recorded runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from harmbench.leaderboard.board import Board, Measure, Row
from harmbench.leaderboard.overall import overall
from harmbench.leaderboard.scores import run_scores, scores_of_task
from harmbench.statistics.estimate import Estimate

# Columns that cells on one board have in common.
GROUP = ["cohort", "cohort_key", "kind", "preset", "normalization"]


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
        One for every cohort, preset, normalisation, edition and metric with at least one
        number.
    """
    if runs.empty:
        return
    if tasks is not None:
        runs = runs[runs["task"].isin(tasks)]
    runs = _with_edition(runs)
    # Code or settings may have changed: of several runs of a cell the newest counts.
    runs = runs.sort_values("started", kind="stable").drop_duplicates(
        [*GROUP, "edition", "label", "task", "seed"], keep="last"
    )
    groups = [cells for _, cells in runs.groupby([*GROUP, "edition"], sort=False)]
    for cells in sorted(groups, key=lambda cells: -int(cells["started"].max())):
        for measure in measures:
            if measure.name in cells and cells[measure.name].notna().any():
                yield _board(cells, measure)


def _with_edition(runs: pd.DataFrame) -> pd.DataFrame:
    """Add column `edition`: the number of newer versions of the task's test data.

    Different test data share an edition where no seed has both, as in a task that draws them
    by seed. Runs without scores have no digest of test data, and count as the newest.
    """
    editions: dict[tuple[Any, ...], int] = {}
    taken: dict[tuple[Any, ...], list[set[int]]] = {}
    scored = runs[runs["data"] != ""].sort_values("started", ascending=False, kind="stable")
    for (*task, data), cells in scored.groupby([*GROUP, "task", "data"], sort=False):
        seeds, seen = set(cells["seed"]), taken.setdefault(tuple(task), [])
        edition = next((k for k, others in enumerate(seen) if not seeds & others), len(seen))
        if edition == len(seen):
            seen.append(set())
        seen[edition] |= seeds
        editions[*task, data] = edition
    keys = zip(*(runs[name] for name in [*GROUP, "task", "data"]), strict=True)
    return runs.assign(edition=[editions.get(key, 0) for key in keys])


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
    floor, ceiling = (
        min((label for label, control in controls.items() if control == end), default=None)
        for end in ("floor", "ceiling")
    )
    standings = overall(
        {task: subjects for task, (_, subjects) in columns.items()},
        {
            task: {label: score.value for label, score in by_label.items()}
            for task, by_label in scores.items()
        },
        [label for label, control in controls.items() if not control],
        floor,
        ceiling,
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
        normalization=str(group["normalization"]),
        edition=int(group["edition"]),
        measure=measure,
        tasks=tasks,
        rows=tuple(sorted(rows, key=_position)),
        bounds=_bounds(runs, measure.name),
    )


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
