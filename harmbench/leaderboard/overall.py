"""The standing over all tasks of a board: mean ranks, and scores between the controls."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from harmbench.statistics.estimate import Array, Estimate, interval, resampled_means
from harmbench.statistics.hypothesis import mean_over
from harmbench.statistics.ranking import normalized, ranks
from harmbench.statistics.subjects import Subjects

# Fewer than for a single mean: of every resample all methods are ranked on all tasks.
RESAMPLES = 2000


class Overall(NamedTuple):
    """How a method stands over all tasks.

    Attributes
    ----------
    rank
        Mean rank, 1 the best, with its interval; of `n` tasks that it has a number for.
    normalized
        Mean place between floor (0) and ceiling (1), of `n` tasks that have both; or None.
    """

    rank: Estimate | None
    normalized: Estimate | None


def overall(
    subjects: Mapping[str, Subjects],
    values: Mapping[str, Mapping[str, float]],
    methods: Sequence[str],
    floor: str | None,
    ceiling: str | None,
    *,
    higher_is_better: bool,
    decibels: bool,
) -> dict[str, Overall]:
    """Rank methods over tasks, and place them between the controls.

    A method without a number on a task gets the worst rank there and the floor's place, 0:
    what is missing never raises it. For the intervals subjects are drawn with replacement,
    the same of all methods and of all tasks with the same subjects, and everything is ranked
    again 2,000 times.

    Parameters
    ----------
    subjects
        By task, of all labels that tell of them.
    values
        By task and label: the number; NaN where there is none.
    methods
        Labels that compete.
    floor, ceiling
        Labels of the controls, or None.
    higher_is_better, decibels
        Of the metric.
    """
    ends = [label for label in (floor, ceiling) if label is not None]
    labels = [*methods, *ends]
    places: list[Array] = []
    scales: list[Array] = []
    known = np.zeros(len(methods), dtype=int)
    for task, numbers in values.items():
        means = _means(subjects[task], numbers, labels)
        fighting = means[:, : len(methods)]
        known += ~np.isnan(fighting[0])
        places.append(ranks(fighting, higher_is_better=higher_is_better))
        if floor is None or ceiling is None:
            continue
        ends_means = (means[:, [labels.index(end)]] for end in (floor, ceiling))
        scale = normalized(fighting, *ends_means, decibels=decibels)
        if not np.isnan(means[0, len(methods) :]).any() and not np.isnan(scale[0]).all():
            scales.append(np.where(np.isnan(scale), 0.0, scale))
    rank = mean_over(np.stack(places))
    standing = mean_over(np.stack(scales)) if scales else None
    return {
        label: Overall(
            _estimate(rank[:, k], int(known[k])),
            None if standing is None else _estimate(standing[:, k], len(scales)),
        )
        for k, label in enumerate(methods)
    }


def _means(subjects: Subjects, numbers: Mapping[str, float], labels: Sequence[str]) -> Array:
    """Return the mean of each label: as it is in row 0, of resampled subjects in all others.

    A number that tells of no subjects does not vary with them.
    """
    means = np.array([[numbers.get(label, math.nan) for label in labels]] * (1 + RESAMPLES))
    found = [k for k, label in enumerate(labels) if label in subjects.labels]
    if found:
        told = subjects.values[:, [subjects.labels.index(labels[k]) for k in found]]
        means[1:, found] = resampled_means(told, RESAMPLES, 0, "people", *subjects.names)
    return means


def _estimate(values: Array, n: int) -> Estimate:
    """Return the first value, with the interval of all others."""
    draws = values[1:][~np.isnan(values[1:])]
    if not len(draws):
        return Estimate(float(values[0]), math.nan, math.nan, n)
    return Estimate(float(values[0]), *interval(draws), n)
