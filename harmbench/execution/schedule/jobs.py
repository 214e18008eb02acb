"""Jobs of a plan (fits and cells) and their dependencies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from harmbench.execution.plan.durations import Durations
from harmbench.execution.plan.fit import Fit
from harmbench.execution.plan.plan import Plan, PlannedCell


@dataclass(frozen=True, eq=False, kw_only=True)
class Job:
    """A fit or a cell to compute.

    Attributes
    ----------
    key
        Key of the fit or of the cell.
    title
        Short description.
    payload
        The fit or the planned cell.
    after
        Keys of the jobs that must end first.
    seconds
        Estimated duration, from earlier fits or cells of the same kind; None if there are none.
    """

    key: str
    title: str
    payload: Fit | PlannedCell = field(repr=False)
    after: frozenset[str]
    seconds: float | None

    @property
    def is_fit(self) -> bool:
        """Whether the job is a fit."""
        return isinstance(self.payload, Fit)

    @property
    def learns(self) -> bool:
        """Whether the job is a fit or applies one, and so benefits from a GPU."""
        return isinstance(self.payload, Fit) or self.payload.fit is not None


def jobs(plan: Plan, durations: Durations, stored: Iterable[str] = ()) -> dict[str, Job]:
    """Return the jobs of a plan by key; each job comes after the jobs that it depends on.

    Parameters
    ----------
    plan
        The plan; cells that are skipped, or whose task failed, need no job.
    durations
        Durations of earlier fits and cells.
    stored
        Keys of fits and cells that are stored already.
    """
    finished = set(stored)
    all_jobs: dict[str, Job] = {}

    def add_fit(fit: Fit) -> None:
        if fit.key in finished or fit.key in all_jobs:
            return
        parts = fit.parts.values()
        for part in parts:
            add_fit(part)
        all_jobs[fit.key] = Job(
            key=fit.key,
            title=fit.title,
            payload=fit,
            after=_keys(parts, all_jobs),
            seconds=durations.of_fit(fit),
        )

    for planned in plan.cells:
        cell = planned.cell
        if cell.skip is not None or planned.fault is not None or cell.key in finished:
            continue
        for fit in planned.fits:
            add_fit(fit)
        all_jobs[cell.key] = Job(
            key=cell.key,
            title=cell.title,
            payload=planned,
            after=_keys(planned.fits, all_jobs),
            seconds=durations.of_cell(planned),
        )
    return all_jobs


def _keys(fits: Iterable[Fit], all_jobs: Mapping[str, Job]) -> frozenset[str]:
    """Return the keys of the fits that have a job."""
    return frozenset(fit.key for fit in fits if fit.key in all_jobs)


def priorities(all_jobs: Mapping[str, Job]) -> dict[str, float]:
    """Return the priority of each job: the duration in seconds of the longest chain it starts.

    A job of unknown duration counts as the mean of the fits or of the cells, or as one second.
    """
    means = {
        is_fit: _mean([job.seconds for job in all_jobs.values() if job.is_fit is is_fit])
        for is_fit in (True, False)
    }
    chains = dict.fromkeys(all_jobs, 0.0)
    # In reverse order, so that the chains of all dependent jobs are complete.
    for job in reversed(list(all_jobs.values())):
        chains[job.key] += means[job.is_fit] if job.seconds is None else job.seconds
        for key in job.after:
            chains[key] = max(chains[key], chains[job.key])
    return chains


def _mean(durations: list[float | None]) -> float:
    """Return the mean of the known durations that are not zero, or 1."""
    known = [seconds for seconds in durations if seconds]
    return sum(known) / len(known) if known else 1.0
