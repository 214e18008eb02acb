"""Tasks with every target domain that the user requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harmbench.data.cohort_source import CohortSource
from harmbench.errors import UserError
from harmbench.plugins import Entry, Registry, is_match

# In place of the name of a domain.
EACH = "each"


@dataclass(frozen=True)
class TargetedTask:
    """A registered task with the domain that scans are harmonised to.

    Attributes
    ----------
    entry
        The task, registered for the other domains of the cohort as sources.
    target
        Name of the target domain.
    label
        The task's name, followed by `@TARGET` unless that is the cohort's own target.
    """

    entry: Entry
    target: str
    label: str


def requested_targets(source: CohortSource, names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the target domains, in the order of the cohort.

    Parameters
    ----------
    source
        The cohort's source; nothing is prepared.
    names
        Names of domains, or `"each"` for all; the cohort's own target if there are none.

    Raises
    ------
    UserError
        If the cohort has no such domain.
    """
    domains = (source.target, *source.sources)
    for name in names:
        if name not in (*domains, EACH):
            raise UserError.unknown("target", name, (*domains, EACH))
    if EACH in names:
        return domains
    return tuple(name for name in domains if name in names) or (source.target,)


def targeted_tasks(
    registry: Registry, source: CohortSource, targets: Sequence[str]
) -> dict[str, TargetedTask]:
    """Return all tasks of a cohort with each target, by label."""
    tasks: dict[str, TargetedTask] = {}
    domains = (source.target, *source.sources)
    for target in targets:
        sources = tuple(name for name in domains if name != target)
        for name, entry in registry.entries("tasks", sources).items():
            label = name if target == source.target else f"{name}@{target}"
            tasks[label] = TargetedTask(entry, target, label)
    return tasks


def chosen_tasks(
    patterns: Sequence[str], tasks: dict[str, TargetedTask]
) -> dict[str, TargetedTask]:
    """Return the tasks whose label, or whose name with any target, matches a pattern.

    Raises
    ------
    UserError
        If a pattern matches nothing.
    """
    chosen: dict[str, TargetedTask] = {}
    for pattern in patterns:
        matches = {
            label: task
            for label, task in tasks.items()
            if is_match(label, pattern) or is_match(task.entry.name, pattern)
        }
        if not matches:
            raise UserError.unknown("task", pattern, tasks)
        chosen |= matches
    return chosen
