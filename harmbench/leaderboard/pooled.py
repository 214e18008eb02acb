"""Scores pooled over the tasks of a family that have several target domains."""

from __future__ import annotations

from collections.abc import Sequence

from harmbench.leaderboard.families import by_family, mean_over_groups
from harmbench.leaderboard.scores import TaskColumn
from harmbench.statistics.estimate import Estimate


def over_targets(
    columns: Sequence[TaskColumn], labels: Sequence[str]
) -> dict[str, dict[str, Estimate]]:
    """Return the scores over all tasks of each family that has tasks with several targets.

    A subject's value is the mean over groups (one for each source) of the mean over the group's
    tasks (one for each target), of the tasks that the subject was scanned for. The score is the
    mean over subjects, with its 95 % interval.

    Parameters
    ----------
    columns
        The columns of a board.
    labels
        Methods and controls; those without values by subject in a column are left out.

    Returns
    -------
    dict
        By family and label; without families of one target.
    """
    pooled: dict[str, dict[str, Estimate]] = {}
    for family, groups in by_family(columns).items():
        members = [column for group in groups.values() for column in group]
        if len({column.target for column in members}) < 2:
            continue
        complete = set.intersection(*(set(column.compared.labels) for column in members))
        shown = [label for label in labels if label in complete]
        names = sorted({name for column in members for name in column.compared.names})
        unscaled = {column.task: 1.0 for column in members}
        values = mean_over_groups(groups, names, shown, unscaled, signed=False)
        intervals = members[0].measure.intervals
        pooled[family] = dict(zip(shown, intervals(values), strict=True)) if shown else {}
    return pooled
