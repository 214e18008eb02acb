"""Standing of methods over the tasks of a board: one vote per family, and normalised scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harmbench.leaderboard.families import by_family
from harmbench.leaderboard.scores import TaskColumn
from harmbench.statistics.estimate import Array, Estimate
from harmbench.statistics.hypothesis import mean_of_means
from harmbench.statistics.ranking import normalized, ranks
from harmbench.statistics.resampling import percentile_interval, resampled_means

# Fewer than for a single mean: in every resample all methods are ranked on all tasks.
RESAMPLES = 2000


@dataclass(frozen=True, kw_only=True)
class Overall:
    """Standing of a method over all tasks.

    Attributes
    ----------
    rank
        Mean over families of the mean rank in each, 1 the best, with its interval; NaN for an only
        method, which has nothing to be ranked against. `n` is the number of tasks with a number.
        None if no task has a number.
    family_ranks
        Mean rank by family; NaN for an only method.
    normalized
        Mean score over the `n` tasks with a floor (0) and a reference line (1) that differ;
        weighted as the rank. None if no task has both.
    """

    rank: Estimate | None
    family_ranks: Mapping[str, float]
    normalized: Estimate | None


def overall(
    columns: Sequence[TaskColumn],
    labels: Sequence[str],
    floor: str | None,
    weights: Mapping[str, float],
    *,
    normalize: bool,
) -> dict[str, Overall]:
    """Rank methods over tasks, and scale their values between the controls.

    Methods are ranked in each task. Ranks are averaged over the tasks of a group, over the groups
    of a family, and over families. A method without a number on a task ranks last there, if
    another ranked method has one. For the intervals subjects are resampled 2,000 times, jointly
    for all methods and for all tasks with the same subjects, and everything is ranked again.

    Parameters
    ----------
    columns
        Columns with metrics that rank.
    labels
        Labels that are ranked.
    floor
        Label of the floor, or None.
    weights
        Weights of the families' votes; 1 for a family that is not named.
    normalize
        Whether to compute scores.
    """
    ranked_columns = [
        column
        for column in columns
        if column.votes
        and any(label in column.scores and column.scores[label].counts for label in labels)
    ]
    families = by_family(ranked_columns)
    if not families or not labels:
        return {}
    drawn = {column.task: _means(column, labels) for column in ranked_columns}
    by_task = {
        column.task: (
            ranks(drawn[column.task], higher_is_better=column.measure.higher_is_better)
            if len(labels) > 1
            else np.full_like(drawn[column.task], np.nan)
        )
        for column in ranked_columns
    }
    by_name = {name: _average(groups, by_task) for name, groups in families.items()}
    rank = _vote(by_name, weights)
    numbers = np.array([~np.isnan(means[0]) for means in drawn.values()]).sum(axis=0)
    scores = _normalized(ranked_columns, labels, floor, drawn) if normalize else {}
    standing = None
    if scores:
        kept = by_family([column for column in ranked_columns if column.task in scores])
        standing = _vote({name: _average(groups, scores) for name, groups in kept.items()}, weights)
    return {
        label: Overall(
            rank=None if rank is None else _estimate(rank[:, k], int(numbers[k])),
            family_ranks={name: float(values[0, k]) for name, values in by_name.items()},
            normalized=None if standing is None else _estimate(standing[:, k], len(scores)),
        )
        for k, label in enumerate(labels)
    }


def _average(groups: Mapping[str, Sequence[TaskColumn]], by_task: Mapping[str, Array]) -> Array:
    """Return the mean over groups of the mean over each group's tasks."""
    return mean_of_means(
        [by_task[column.task] for column in columns] for columns in groups.values()
    )


def _vote(by_family_name: Mapping[str, Array], weights: Mapping[str, float]) -> Array | None:
    """Return the weighted mean over families; None if all weights are 0."""
    chosen = np.array([weights.get(name, 1.0) for name in by_family_name])
    if not chosen.sum():
        return None
    mean: Array = np.average(np.stack(list(by_family_name.values())), axis=0, weights=chosen)
    return mean


def _normalized(
    columns: Sequence[TaskColumn],
    labels: Sequence[str],
    floor: str | None,
    drawn: Mapping[str, Array],
) -> dict[str, Array]:
    """Return scores by task, where floor and reference line differ by more than rescan noise."""
    scores = {}
    for column in columns:
        reference = column.reference_line
        if floor is None or reference is None or not _spans(column, floor, reference):
            continue
        low, high = (_means(column, [end]) for end in (floor, reference))
        decibels = column.measure.unit == "dB"
        scale = normalized(drawn[column.task], low, high, decibels=decibels)
        if not np.isnan(scale[0]).all():
            # A missing number counts as the floor.
            scores[column.task] = np.where(np.isnan(scale), 0.0, scale)
    return scores


def _spans(column: TaskColumn, floor: str, reference: str) -> bool:
    """Return whether the reference line is better than the floor by more than its own noise.

    Its noise is the standard deviation of its values between subjects. Decibels are converted to
    errors, since a perfect image has an infinite PSNR.
    """
    subjects = column.subjects
    if floor not in subjects.labels or reference not in subjects.labels:
        return False
    values = [subjects.values[:, subjects.labels.index(label)] for label in (floor, reference)]
    signed = [column.measure.sign * of_label for of_label in values]
    if column.measure.unit == "dB":
        signed = [-np.power(10.0, -of_label / 10) for of_label in values]
    both = np.isfinite(signed[0]) & np.isfinite(signed[1])
    low, high = (of_label[both] for of_label in signed)
    if len(high) < 2:
        return False
    return bool(high.mean() - low.mean() > high.std(ddof=1))


def _means(column: TaskColumn, labels: Sequence[str]) -> Array:
    """Row 0: observed means. Further rows: bootstrap means.

    Numbers without values by subject are constant.
    """
    subjects = column.subjects
    observed = [
        column.scores[label].value
        if label in column.scores and column.scores[label].counts
        else math.nan
        for label in labels
    ]
    means = np.array([observed] * (1 + RESAMPLES))
    indices = [k for k, label in enumerate(labels) if label in subjects.labels]
    if indices:
        values = subjects.values[:, [subjects.labels.index(labels[k]) for k in indices]]
        means[1:, indices] = resampled_means(values, RESAMPLES, 0, "subjects", *subjects.names)
    return means


def _estimate(values: Array, n: int) -> Estimate:
    """Return the first value, with the percentile interval of the others."""
    draws = values[1:][~np.isnan(values[1:])]
    if not len(draws):
        return Estimate(float(values[0]), math.nan, math.nan, n)
    return Estimate(float(values[0]), *percentile_interval(draws), n)
