"""Jobs of a plan (fits and cells) and their dependencies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from harmbench.contracts.volume_method import VolumeMethod
from harmbench.execution.plan.durations import Durations
from harmbench.execution.plan.fit import Fit
from harmbench.execution.plan.plan import Plan, PlannedCell
from harmbench.external.command_method import CommandMethod

# Of a network whose fit has not been timed: longer than a fit that counts or averages.
_NETWORK_SECONDS = 60.0


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
        Keys of the jobs that must succeed first.
    follows
        Keys of the jobs that must end first, whether they succeed or not: a cell uses the
        outputs that another cell of the method has computed for the same scans.
    seconds
        Estimated duration, from earlier fits or cells of the same kind; None if there are none.
    """

    key: str
    title: str
    payload: Fit | PlannedCell = field(repr=False)
    after: frozenset[str]
    seconds: float | None
    follows: frozenset[str] = frozenset()

    @property
    def starts_after(self) -> frozenset[str]:
        """Keys of all jobs that must end first."""
        return self.after | self.follows

    @property
    def is_fit(self) -> bool:
        """Whether the job is a fit."""
        return isinstance(self.payload, Fit)

    @cached_property
    def trains(self) -> bool:
        """Whether the job is a fit of a model with parameters, such as a network."""
        if not isinstance(self.payload, Fit):
            return False
        try:
            model = self.payload.model(self.payload.grid, self.payload.config)
        except Exception:
            return False  # its fit fails at once
        return any(True for _ in model.parameters())

    @property
    def long(self) -> bool:
        """Whether the job may take hours: the fit of a network or of a program."""
        if not isinstance(self.payload, Fit):
            return False
        return self.trains or issubclass(self.payload.model, VolumeMethod)

    @property
    def seed(self) -> int:
        """Seed of the fit or of the cell."""
        return self.payload.seed if isinstance(self.payload, Fit) else self.payload.cell.seed

    @property
    def learns(self) -> bool:
        """Whether the job is a fit or applies one, and so benefits from a GPU.

        So does a command, which may have learnt elsewhere.
        """
        if isinstance(self.payload, Fit):
            return True
        return self.payload.fit is not None or issubclass(self.payload.method, CommandMethod)


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
    first_of_outputs: dict[str, str] = {}

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
        first = cell.key
        if planned.outputs_key and durations.slow(planned):
            first = first_of_outputs.setdefault(planned.outputs_key, cell.key)
        all_jobs[cell.key] = Job(
            key=cell.key,
            title=cell.title,
            payload=planned,
            after=_keys(planned.fits, all_jobs),
            seconds=durations.of_cell(planned, reuses=first != cell.key),
            follows=frozenset((first,)) - {cell.key},
        )
    return all_jobs


def _keys(fits: Iterable[Fit], all_jobs: Mapping[str, Job]) -> frozenset[str]:
    """Return the keys of the fits that have a job."""
    return frozenset(fit.key for fit in fits if fit.key in all_jobs)


def durations(all_jobs: Mapping[str, Job]) -> dict[str, float]:
    """Return the duration of each job in seconds, estimated where nothing similar ran before.

    An unknown cell, and an unknown fit of a model without parameters, count as the mean of their
    kind or as one second. An unknown fit of a network counts as at least `_NETWORK_SECONDS`.
    """
    means = {
        is_fit: _mean([job.seconds for job in all_jobs.values() if job.is_fit is is_fit])
        for is_fit in (True, False)
    }
    return {
        key: max(means[True], _NETWORK_SECONDS)
        if job.seconds is None and job.trains
        else (means[job.is_fit] if job.seconds is None else job.seconds)
        for key, job in all_jobs.items()
    }


def priorities(all_jobs: Mapping[str, Job], seconds: Mapping[str, float]) -> dict[str, float]:
    """Return the priority of each job: the duration in seconds of the longest chain it starts."""
    chains = dict.fromkeys(all_jobs, 0.0)
    # In reverse order, so that the chains of all dependent jobs are complete.
    for job in reversed(list(all_jobs.values())):
        chains[job.key] += seconds[job.key]
        for key in job.starts_after:
            chains[key] = max(chains[key], chains[job.key])
    return chains


def until_result(all_jobs: Mapping[str, Job], seconds: Mapping[str, float]) -> dict[str, float]:
    """Return the seconds until the first cell ends: the job itself, or a cell after the fit."""
    times: dict[str, float] = {}
    first: dict[str, float] = {}
    for job in reversed(list(all_jobs.values())):
        times[job.key] = seconds[job.key] + (first.get(job.key, 0.0) if job.is_fit else 0.0)
        for key in job.after:
            first[key] = min(first.get(key, times[job.key]), times[job.key])
    return times


def _mean(durations: list[float | None]) -> float:
    """Return the mean of the known durations that are not zero, or 1."""
    known = [seconds for seconds in durations if seconds]
    return sum(known) / len(known) if known else 1.0
