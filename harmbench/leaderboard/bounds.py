"""Reference values that tasks measure themselves, such as the score of a repeat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from harmbench.leaderboard.families import by_family
from harmbench.leaderboard.measure import Measure
from harmbench.leaderboard.scores import TaskColumn
from harmbench.statistics.estimate import Estimate
from harmbench.statistics.hypothesis import mean_of_means


@dataclass(frozen=True, kw_only=True)
class Bound:
    """A reference value of one task, of all folds.

    Attributes
    ----------
    estimate
        The value, with its interval over subjects.
    subjects
        The values by subject that it is the mean of; None for a number that is no such mean.
    """

    estimate: Estimate
    subjects: pd.Series | None


@dataclass(frozen=True, kw_only=True)
class PooledBound:
    """A reference value over all targets of a family.

    Attributes
    ----------
    estimate
        The mean, with its interval over subjects if all tasks have values by subject.
    n_tasks
        Number of tasks that have the value.
    """

    estimate: Estimate
    n_tasks: int


def bounds_of(runs: pd.DataFrame, measure: Measure) -> dict[str, dict[str, Bound]]:
    """Return the reference values in a metric, by title and task.

    Of each task and fold the newest run counts.
    """
    folds: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    newest = runs[runs["bounds"].astype(bool)].drop_duplicates(["task", "fold"], keep="last")
    for task, titles in zip(newest["task"], newest["bounds"], strict=True):
        for title, numbers in titles.items():
            if measure.name in numbers:
                of_title = folds.setdefault(title, {})
                of_title.setdefault(str(task), []).append(numbers[measure.name])
    return {
        title: {task: _of_folds(numbers, measure) for task, numbers in by_task.items()}
        for title, by_task in folds.items()
    }


def pooled_bounds(
    columns: Sequence[TaskColumn],
    bounds: Mapping[str, Mapping[str, Bound]],
    families: Sequence[str],
) -> dict[str, dict[str, PooledBound]]:
    """Return reference values over all targets, by family and title.

    A subject's value is the mean over sources of the mean over targets, as that of a method is.
    """
    groups_by_family = by_family(columns)
    pooled: dict[str, dict[str, PooledBound]] = {}
    for family in families:
        for title, by_task in bounds.items():
            value = _over_targets(groups_by_family[family], by_task)
            if value is not None:
                pooled.setdefault(family, {})[title] = value
    return pooled


def _over_targets(
    groups: Mapping[str, Sequence[TaskColumn]], by_task: Mapping[str, Bound]
) -> PooledBound | None:
    """Return the value over the tasks that have it; None if there are none."""
    found = [
        [by_task[column.task] for column in columns if column.task in by_task]
        for columns in groups.values()
    ]
    found = [of_group for of_group in found if of_group]
    n_tasks = sum(map(len, found))
    if not n_tasks:
        return None
    series = [[b.subjects for b in of_group if b.subjects is not None] for of_group in found]
    if sum(map(len, series)) < n_tasks:
        # Tasks share subjects, so that their intervals cannot be combined.
        mean = float(np.mean([np.mean([b.estimate.mean for b in of_group]) for of_group in found]))
        return PooledBound(estimate=Estimate(mean, np.nan, np.nan, 0), n_tasks=n_tasks)
    names = sorted({name for of_group in series for of_task in of_group for name in of_task.index})
    values = mean_of_means(
        [of_task.reindex(names).to_numpy() for of_task in of_group] for of_group in series
    )
    measure = next(iter(groups.values()))[0].measure
    (estimate,) = measure.intervals(values[:, None])
    return PooledBound(estimate=estimate, n_tasks=n_tasks)


def _of_folds(folds: Sequence[Mapping[str, Any]], measure: Measure) -> Bound:
    """Return the value of all folds: of a subject that several folds contain, the mean."""
    if all("subjects" in fold for fold in folds):
        values = pd.concat([pd.Series(fold["subjects"], dtype=float) for fold in folds])
        subjects = values.groupby(level=0).mean()
        (estimate,) = measure.intervals(subjects.to_numpy()[:, None])
        return Bound(estimate=estimate, subjects=subjects)
    estimates = [
        Estimate(float(fold["mean"]), float(fold["low"]), float(fold["high"]), int(fold["n"]))
        for fold in folds
    ]
    return Bound(estimate=_mean_of_folds(estimates), subjects=None)


def _mean_of_folds(folds: Sequence[Estimate]) -> Estimate:
    """Return the mean over the subjects of all folds; the folds' errors are independent.

    A value that is the same in every fold is of all subjects, since it needs no fit: it counts
    once.
    """
    numbers = np.array([(fold.mean, fold.low, fold.high, fold.n) for fold in folds])
    if np.allclose(numbers, numbers[0], rtol=1e-12, atol=0, equal_nan=True):
        return folds[0]
    n = np.array([fold.n for fold in folds], dtype=float)
    weights = n / n.sum() if n.sum() else np.full(len(folds), 1 / len(folds))
    mean = float(weights @ [fold.mean for fold in folds])
    below, above = (
        float(np.sqrt(weights**2 @ np.square(distances)))
        for distances in (
            [fold.mean - fold.low for fold in folds],
            [fold.high - fold.mean for fold in folds],
        )
    )
    return Estimate(mean, mean - below, mean + above, int(n.sum()))
