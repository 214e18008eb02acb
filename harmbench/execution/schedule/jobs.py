"""Works: the fits and cells that a plan comes to, and which of them wait for which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from harmbench.execution.plan.durations import Durations
from harmbench.execution.plan.fit import Fit
from harmbench.execution.plan.plan import Plan, PlannedCell


@dataclass(frozen=True, eq=False, kw_only=True)
class Job:
    """A fit that is to be made, or a cell that is to be computed.

    Attributes
    ----------
    key
        Key of the fit or of the cell.
    title
        What it is, in a few words.
    payload
        The fit, or the job of the cell.
    after
        Keys of the works that must have ended before.
    seconds
        How long it may take, from what was computed before; None if nothing is known.
    """

    key: str
    title: str
    payload: Fit | PlannedCell = field(repr=False)
    after: frozenset[str]
    seconds: float | None

    @property
    def is_fit(self) -> bool:
        """Whether it is a fit."""
        return isinstance(self.payload, Fit)

    @property
    def learns(self) -> bool:
        """Whether it is a fit, or applies one: work that a GPU is for."""
        return isinstance(self.payload, Fit) or self.payload.fit is not None


def jobs(plan: Plan, costs: Durations, stored: Iterable[str] = ()) -> dict[str, Job]:
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
    found: dict[str, Job] = {}

    def fit(one: Fit) -> None:
        if one.key in there or one.key in found:
            return
        parts = one.parts.values()
        for part in parts:
            fit(part)
        found[one.key] = Job(
            key=one.key,
            title=one.title,
            payload=one,
            after=_known(parts, found),
            seconds=costs.of_fit(one),
        )

    for planned in plan.cells:
        if planned.cell.skip is not None or planned.fault is not None or planned.cell.key in there:
            continue
        for one in planned.fits:
            fit(one)
        found[planned.cell.key] = Job(
            key=planned.cell.key,
            title=planned.cell.title,
            payload=planned,
            after=_known(planned.fits, found),
            seconds=costs.of_cell(planned),
        )
    return found


def _known(fits: Iterable[Fit], found: Mapping[str, Job]) -> frozenset[str]:
    return frozenset(one.key for one in fits if one.key in found)


def priorities(all_jobs: Mapping[str, Job]) -> dict[str, float]:
    """Return the seconds of the longest chain of works that begins with each, by key.

    What holds up most is best begun first. Works of unknown length count as the mean of the
    others of their kind, or as a second.
    """
    typical = {
        kind: _mean([w.seconds for w in all_jobs.values() if w.is_fit is kind and w.seconds])
        for kind in (True, False)
    }
    chains = dict.fromkeys(all_jobs, 0.0)
    # A work stands after those it waits for: from the end, all that wait for it are known.
    for job in reversed(list(all_jobs.values())):
        seconds = typical[job.is_fit] if job.seconds is None else job.seconds
        chains[job.key] += seconds
        for key in job.after:
            chains[key] = max(chains[key], chains[job.key])
    return chains


def _mean(values: list[float | None]) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else 1.0
