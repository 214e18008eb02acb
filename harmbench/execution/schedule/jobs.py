"""Works: the fits and cells that a plan comes to, and which of them wait for which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from harmbench.execution.plan.durations import Costs
from harmbench.execution.plan.plan import Fit, Job, Plan


@dataclass(frozen=True, eq=False)
class Work:
    """A fit that is to be made, or a cell that is to be computed.

    Attributes
    ----------
    key
        Key of the fit or of the cell.
    title
        What it is, in a few words.
    task
        The fit, or the job of the cell.
    after
        Keys of the works that must have ended before.
    seconds
        How long it may take, from what was computed before; None if nothing is known.
    """

    key: str
    title: str
    task: Fit | Job = field(repr=False)
    after: frozenset[str]
    seconds: float | None

    @property
    def is_fit(self) -> bool:
        """Whether it is a fit."""
        return isinstance(self.task, Fit)

    @property
    def learns(self) -> bool:
        """Whether it is a fit, or applies one: work that a GPU is for."""
        return isinstance(self.task, Fit) or self.task.fit is not None


def works(plan: Plan, costs: Costs, stored: Iterable[str] = ()) -> dict[str, Work]:
    """Return all that a plan comes to, by key; every work stands after those it waits for.

    Parameters
    ----------
    plan
        Jobs that are skipped, or whose task failed, come to nothing.
    costs
        What is known of how long things take.
    stored
        Keys of fits and cells that need not be computed again.
    """
    there = set(stored)
    found: dict[str, Work] = {}

    def fit(one: Fit) -> None:
        if one.key in there or one.key in found:
            return
        parts = one.parts.values()
        for part in parts:
            fit(part)
        found[one.key] = Work(one.key, one.title, one, _known(parts, found), costs.of_fit(one))

    for job in plan.jobs:
        if job.cell.skip is not None or job.fault is not None or job.cell.key in there:
            continue
        for one in job.fits:
            fit(one)
        found[job.cell.key] = Work(
            job.cell.key, job.cell.title, job, _known(job.fits, found), costs.of_cell(job)
        )
    return found


def _known(fits: Iterable[Fit], found: Mapping[str, Work]) -> frozenset[str]:
    return frozenset(one.key for one in fits if one.key in found)


def priorities(all_works: Mapping[str, Work]) -> dict[str, float]:
    """Return the seconds of the longest chain of works that begins with each, by key.

    What holds up most is best begun first. Works of unknown length count as the mean of the
    others of their kind, or as a second.
    """
    typical = {
        kind: _mean([w.seconds for w in all_works.values() if w.is_fit is kind and w.seconds])
        for kind in (True, False)
    }
    chains = dict.fromkeys(all_works, 0.0)
    # A work stands after those it waits for: from the end, all that wait for it are known.
    for work in reversed(list(all_works.values())):
        seconds = typical[work.is_fit] if work.seconds is None else work.seconds
        chains[work.key] += seconds
        for key in work.after:
            chains[key] = max(chains[key], chains[work.key])
    return chains


def _mean(values: list[float | None]) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else 1.0
