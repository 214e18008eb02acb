"""The whole matrix: what is ready is computed, and one failure costs only what needs it."""

from __future__ import annotations

import dataclasses
import heapq
import time
from collections.abc import Iterator

from harmbench.contracts.cell import CellResult, Status
from harmbench.execution.compute.job_result import JobResult
from harmbench.execution.compute.runner import Runner
from harmbench.execution.plan.durations import Durations
from harmbench.execution.plan.plan import Plan, PlannedCell
from harmbench.execution.schedule.executors.base import Executor
from harmbench.execution.schedule.jobs import Job, jobs, priorities
from harmbench.util.progress import Progress

_SECONDS_BETWEEN_LOOKS = 0.5
# What another process is at is tried again so often.
_SECONDS_BETWEEN_TRIES = 1.0


class Scheduler:
    """All cells of a plan, and what has become of them.

    Parameters
    ----------
    plan
        The jobs; those with the same key are computed once.
    runner
        Knows the stores.
    costs
        What to foresee times from.

    Attributes
    ----------
    results
        Of each job that has ended, in the order in which they did.
    jobs
        What was to be computed when the matrix was made, by key.
    fits_made
        Keys of the fits made in this invocation.
    """

    def __init__(self, plan: Plan, runner: Runner, costs: Durations) -> None:
        self.plan = plan
        self.results: list[tuple[PlannedCell, CellResult]] = []
        self.fits_made: list[str] = []
        self._runner = runner
        self._foreseen: dict[str, CellResult] = {}
        stored = set()
        for planned in plan.cells:
            foreseen = runner.foreseen(planned)
            if foreseen is not None:
                self._foreseen[planned.cell.key] = foreseen
                stored.add(planned.cell.key)
            stored.update(fit.key for fit in planned.all_fits if runner.fits.has(fit.key))
        self.jobs = jobs(plan, costs, stored)
        self._jobs: dict[str, list[PlannedCell]] = {}
        for planned in plan.cells:
            self._jobs.setdefault(planned.cell.key, []).append(planned)

    def run(
        self, executor: Executor, progress: Progress
    ) -> Iterator[tuple[PlannedCell, CellResult]]:
        """Compute all works, and yield each job with its result as it ends."""
        for key, result in self._foreseen.items():
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
        for planned in self._jobs[key]:
            self.results.append((planned, result))
            yield planned, result

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
        """Hand works out as they become ready, and yield each as it ends."""
        chains = priorities(self.jobs)
        place = {key: number for number, key in enumerate(self.jobs)}
        waiting = {key: set(job.after) for key, job in self.jobs.items()}
        ready: list[tuple[float, int, str]] = []
        held: list[tuple[float, str]] = []  # others are at it: when to try again
        running = 0

        def offer(key: str) -> None:
            heapq.heappush(ready, (-chains[key], place[key], key))

        for key in [key for key, after in waiting.items() if not after]:
            del waiting[key]
            offer(key)
        while ready or held or running:
            now = time.monotonic()
            while held and held[0][0] <= now:
                offer(heapq.heappop(held)[1])
            while ready and executor.free:
                executor.submit(self.jobs[heapq.heappop(ready)[2]])
                running += 1
            if not running:
                time.sleep(max(0.0, held[0][0] - now))
                continue
            for job, outcome in executor.ended(_SECONDS_BETWEEN_LOOKS):
                running -= 1
                if outcome.status is Status.PLANNED:
                    progress.note(f"another process is at {job.title}")
                    heapq.heappush(held, (now + _SECONDS_BETWEEN_TRIES, job.key))
                    continue
                yield job, outcome
                lost = self._lost(job, outcome, waiting)
                for key in lost:
                    del waiting[key]
                    yield self.jobs[key], outcome
                for key in [key for key, after in waiting.items() if job.key in after]:
                    waiting[key].discard(job.key)
                    if not waiting[key]:
                        del waiting[key]
                        offer(key)

    def _lost(self, job: Job, outcome: JobResult, waiting: dict[str, set[str]]) -> list[str]:
        """Return the works that cannot be any more, since what they wait for did not come."""
        if not outcome.bad:
            return []
        lost = {job.key: None}
        # A work stands after those it waits for.
        for key, candidate in self.jobs.items():
            if key in waiting and candidate.after & lost.keys():
                lost[key] = None
        return [key for key in lost if key != job.key]
