"""The whole matrix: what is ready is computed, and one failure costs only what needs it."""

from __future__ import annotations

import dataclasses
import heapq
import time
from collections.abc import Iterator

from harmbench.contracts.cell import CellResult, Status
from harmbench.execution.compute.outcome import Outcome
from harmbench.execution.compute.runner import Runner
from harmbench.execution.plan.durations import Costs
from harmbench.execution.plan.plan import Job, Plan
from harmbench.execution.schedule.executors.base import Executor
from harmbench.execution.schedule.jobs import Work, priorities, works
from harmbench.util.progress import Progress

_SECONDS_BETWEEN_LOOKS = 0.5
# What another process is at is tried again so often.
_SECONDS_BETWEEN_TRIES = 1.0


class Matrix:
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
    works
        What was to be computed when the matrix was made, by key.
    fits_made
        Keys of the fits made in this invocation.
    """

    def __init__(self, plan: Plan, runner: Runner, costs: Costs) -> None:
        self.plan = plan
        self.results: list[tuple[Job, CellResult]] = []
        self.fits_made: list[str] = []
        self._runner = runner
        self._foreseen: dict[str, CellResult] = {}
        stored = set()
        for job in plan.jobs:
            foreseen = runner.foreseen(job)
            if foreseen is not None:
                self._foreseen[job.cell.key] = foreseen
                stored.add(job.cell.key)
            stored.update(fit.key for fit in job.all_fits if runner.fits.has(fit.key))
        self.works = works(plan, costs, stored)
        self._jobs: dict[str, list[Job]] = {}
        for job in plan.jobs:
            self._jobs.setdefault(job.cell.key, []).append(job)

    def run(self, executor: Executor, progress: Progress) -> Iterator[tuple[Job, CellResult]]:
        """Compute all works, and yield each job with its result as it ends."""
        for key, result in self._foreseen.items():
            yield from self._end(key, result)
        for work, outcome in progress.track(
            self._outcomes(executor, progress), "all cells", len(self.works)
        ):
            if work.is_fit:
                if outcome.status is Status.DONE:
                    self.fits_made.append(work.key)
            else:
                yield from self._end(work.key, self._result(work, outcome))

    def _end(self, key: str, result: CellResult) -> Iterator[tuple[Job, CellResult]]:
        for job in self._jobs[key]:
            self.results.append((job, result))
            yield job, result

    def _result(self, work: Work, outcome: Outcome) -> CellResult:
        if outcome.bad:
            return outcome.failure()
        if outcome.result is not None:
            return outcome.result
        stored = self._runner.cells.load(work.key)
        if stored is None:
            return CellResult(Status.FAILED, "its result cannot be read from the store")
        return dataclasses.replace(stored, status=outcome.status)

    def _outcomes(self, executor: Executor, progress: Progress) -> Iterator[tuple[Work, Outcome]]:
        """Hand works out as they become ready, and yield each as it ends."""
        chains = priorities(self.works)
        place = {key: number for number, key in enumerate(self.works)}
        waiting = {key: set(work.after) for key, work in self.works.items()}
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
                executor.submit(self.works[heapq.heappop(ready)[2]])
                running += 1
            if not running:
                time.sleep(max(0.0, held[0][0] - now))
                continue
            for work, outcome in executor.ended(_SECONDS_BETWEEN_LOOKS):
                running -= 1
                if outcome.status is Status.PLANNED:
                    progress.note(f"another process is at {work.title}")
                    heapq.heappush(held, (now + _SECONDS_BETWEEN_TRIES, work.key))
                    continue
                yield work, outcome
                lost = self._lost(work, outcome, waiting)
                for key in lost:
                    del waiting[key]
                    yield self.works[key], outcome
                for key in [key for key, after in waiting.items() if work.key in after]:
                    waiting[key].discard(work.key)
                    if not waiting[key]:
                        del waiting[key]
                        offer(key)

    def _lost(self, work: Work, outcome: Outcome, waiting: dict[str, set[str]]) -> list[str]:
        """Return the works that cannot be any more, since what they wait for did not come."""
        if not outcome.bad:
            return []
        lost = {work.key: None}
        # A work stands after those it waits for.
        for key, candidate in self.works.items():
            if key in waiting and candidate.after & lost.keys():
                lost[key] = None
        return [key for key in lost if key != work.key]
