"""Runs all jobs of a plan by their dependencies; a failure stops dependent jobs only."""

from __future__ import annotations

import dataclasses
import heapq
import time
from collections.abc import Container, Iterator, Mapping, Sequence

from harmbench.contracts.cell import CellResult, Status
from harmbench.execution.compute.job_result import JobResult
from harmbench.execution.compute.runner import Runner
from harmbench.execution.plan.durations import Durations
from harmbench.execution.plan.plan import Plan, PlannedCell
from harmbench.execution.schedule.executors.base import Executor
from harmbench.execution.schedule.jobs import Job, jobs
from harmbench.execution.schedule.ready_jobs import ReadyJobs
from harmbench.util.progress import Progress

_POLL_SECONDS = 0.5
# Interval between attempts at a job that another process holds.
_RETRY_SECONDS = 1.0


class Scheduler:
    """Computes all cells of a plan.

    Parameters
    ----------
    plan
        The planned cells; cells with equal keys are computed once.
    runner
        Gives access to the stores.
    durations
        Durations of earlier fits and cells.

    Attributes
    ----------
    foreseen
        The results of cells that need no computation, by key.
    results
        The cells that have ended with their results, in that order.
    jobs
        All jobs whose results were not in the stores at the start, by key.
    fits_made
        Keys of the fits made in this run.
    """

    def __init__(self, plan: Plan, runner: Runner, durations: Durations) -> None:
        self.plan = plan
        self.results: list[tuple[PlannedCell, CellResult]] = []
        self.fits_made: list[str] = []
        self._runner = runner
        self.foreseen: dict[str, CellResult] = {}
        for planned in plan.cells:
            result = runner.foreseen(planned)
            if result is not None:
                self.foreseen[planned.cell.key] = result
        fits = {fit.key for planned in plan.cells for fit in planned.all_fits}
        stored = {*self.foreseen, *filter(runner.fits.has, fits)}
        self.jobs = jobs(plan, durations, stored)
        self._cells: dict[str, list[PlannedCell]] = {}
        for planned in plan.cells:
            self._cells.setdefault(planned.cell.key, []).append(planned)
        # Keys of the cells without a complete result, by the outputs that they share.
        self._users = {key: set(cells) for key, cells in plan.cells_of_outputs.items()}

    def run(
        self, executor: Executor, progress: Progress
    ) -> Iterator[tuple[PlannedCell, CellResult]]:
        """Compute all jobs, and yield each cell with its result as it ends."""
        for key, result in self.foreseen.items():
            yield from self._end(key, result)
        for job, outcome in progress.track(
            self._outcomes(executor, progress), "all cells", len(self.jobs)
        ):
            if job.is_fit:
                if outcome.status is Status.DONE:
                    self.fits_made.append(job.key)
            else:
                yield from self._end(job.key, self._result(job, outcome))

    def _end(self, key: str, result: CellResult) -> Iterator[tuple[PlannedCell, CellResult]]:
        for planned in self._cells[key]:
            self.results.append((planned, result))
            yield planned, result
        if result.complete:
            self._release(key, self._cells[key][0].outputs_key)

    def _release(self, key: str, outputs_key: str) -> None:
        """Remove shared outputs once all cells that use them have a complete result."""
        users = self._users.get(outputs_key, set())
        if key in users:
            users.remove(key)
            if not users:
                self._runner.release(outputs_key)

    def _result(self, job: Job, outcome: JobResult) -> CellResult:
        if outcome.bad:
            return outcome.failure()
        if outcome.result is not None:
            return outcome.result
        stored = self._runner.cells.load(job.key)
        if stored is None:
            return CellResult(
                status=Status.FAILED, reason="its result cannot be read from the store"
            )
        return dataclasses.replace(stored, status=outcome.status)

    def _outcomes(self, executor: Executor, progress: Progress) -> Iterator[tuple[Job, JobResult]]:
        """Submit jobs as they become ready, and yield each with its result when it ends."""
        queue = ReadyJobs(self.jobs)
        waiting = {key: set(job.starts_after) for key, job in self.jobs.items()}
        followers = self._followers()
        # Jobs that another process holds, with the time of the next attempt.
        retries: list[tuple[float, str]] = []
        running = 0

        for key in [key for key, after in waiting.items() if not after]:
            del waiting[key]
            queue.add(key)
        while queue.ready or retries or running:
            now = time.monotonic()
            while retries and retries[0][0] <= now:
                queue.add(heapq.heappop(retries)[1])
            while queue.ready and executor.free:
                executor.submit(self.jobs[queue.start()])
                running += 1
            if not running:
                time.sleep(max(0.0, retries[0][0] - now))
                continue
            for job, outcome in executor.ended(_POLL_SECONDS):
                running -= 1
                queue.end(job.key)
                if outcome.status is Status.PLANNED:
                    progress.note(f"waiting for another process: {job.title}")
                    heapq.heappush(retries, (now + _RETRY_SECONDS, job.key))
                    continue
                yield job, outcome
                over = [job.key]
                for key in _dependent(job, self.jobs, followers, waiting) if outcome.bad else ():
                    del waiting[key]
                    queue.end(key)
                    yield self.jobs[key], outcome
                    over.append(key)
                for earlier in over:
                    for key in followers[earlier]:
                        if key not in waiting:
                            continue
                        waiting[key].discard(earlier)
                        if not waiting[key]:
                            del waiting[key]
                            queue.add(key)

    def _followers(self) -> dict[str, list[str]]:
        """Return the keys of the jobs that come directly after each job."""
        followers: dict[str, list[str]] = {key: [] for key in self.jobs}
        for key, job in self.jobs.items():
            for earlier in job.starts_after:
                followers[earlier].append(key)
        return followers


def _dependent(
    job: Job,
    jobs: Mapping[str, Job],
    followers: Mapping[str, Sequence[str]],
    waiting: Container[str],
) -> list[str]:
    """Return the keys of the waiting jobs that cannot succeed without a job."""
    found: dict[str, None] = {}
    unvisited = [job.key]
    while unvisited:
        failed = unvisited.pop()
        new = [
            key
            for key in followers[failed]
            if failed in jobs[key].after and key in waiting and key not in found
        ]
        found |= dict.fromkeys(new)
        unvisited += new
    return list(found)
