"""Standing of methods over all tasks of a board: mean ranks and normalised scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from harmbench.statistics.estimate import Array, Estimate
from harmbench.statistics.hypothesis import nan_mean
from harmbench.statistics.ranking import normalized, ranks
from harmbench.statistics.resampling import percentile_interval, resampled_means
from harmbench.statistics.subjects import SubjectValues

# Fewer than for a single mean: in every resample all methods are ranked on all tasks.
RESAMPLES = 2000


class Overall(NamedTuple):
    """Standing of a method over all tasks.

    Attributes
    ----------
    rank
        Mean rank, 1 the best, with its interval; `n` is the number of tasks with a number.
    normalized
        Mean score over the `n` tasks with a floor (0) and a reference line (1); None if no task
        has both.
    """

    rank: Estimate | None
    normalized: Estimate | None


def overall(
    subjects: Mapping[str, SubjectValues],
    values: Mapping[str, Mapping[str, float]],
    methods: Sequence[str],
    floor: str | None,
    reference_lines: Mapping[str, str | None],
    *,
    higher_is_better: bool,
    decibels: bool,
) -> dict[str, Overall]:
    """Rank methods over tasks, and scale their values between the controls.

    A method without a number on a task gets the worst rank there and the floor's score, 0, so
    that a missing result never improves its standing. For the intervals subjects are resampled
    2,000 times, jointly for all methods and for all tasks with the same subjects, and everything
    is ranked again.

    Parameters
    ----------
    subjects
        By task: values by subject of all labels that have them.
    values
        By task and label: the number; NaN where there is none.
    methods
        Labels that are ranked.
    floor
        Label of the floor, or None.
    reference_lines
        By task: the label of its upper control, or None.
    higher_is_better, decibels
        Direction of the metric, and whether it is in decibels.
    """
    ends = {label for label in (floor, *reference_lines.values()) if label is not None}
    labels = [*methods, *sorted(ends)]
    ranks_by_task: list[Array] = []
    scales: list[Array] = []
    n_numbers = np.zeros(len(methods), dtype=int)
    for task, numbers in values.items():
        means = _means(subjects[task], numbers, labels)
        ranked = means[:, : len(methods)]
        n_numbers += ~np.isnan(ranked[0])
        ranks_by_task.append(ranks(ranked, higher_is_better=higher_is_better))
        reference_line = reference_lines[task]
        if floor is None or reference_line is None:
            continue
        low, high = (means[:, [labels.index(end)]] for end in (floor, reference_line))
        scale = normalized(ranked, low, high, decibels=decibels)
        if not np.isnan([low[0], high[0]]).any() and not np.isnan(scale[0]).all():
            scales.append(np.where(np.isnan(scale), 0.0, scale))
    rank = nan_mean(np.stack(ranks_by_task))
    standing = nan_mean(np.stack(scales)) if scales else None
    return {
        label: Overall(
            _estimate(rank[:, k], int(n_numbers[k])),
            None if standing is None else _estimate(standing[:, k], len(scales)),
        )
        for k, label in enumerate(methods)
    }


def _means(subjects: SubjectValues, numbers: Mapping[str, float], labels: Sequence[str]) -> Array:
    """Row 0: observed means. Further rows: bootstrap means.

    Numbers without values by subject are constant.
    """
    means = np.array([[numbers.get(label, math.nan) for label in labels]] * (1 + RESAMPLES))
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
