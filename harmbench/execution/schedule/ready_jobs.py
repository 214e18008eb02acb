"""The order in which jobs start: results soon, without a longer run."""

from __future__ import annotations

import heapq
import time
from collections.abc import Mapping

from harmbench.execution.schedule.jobs import Job, durations, priorities, until_result

# Durations are multiples of 1 / _TICKS s. Their sums are exact, whatever the order of the jobs.
_TICKS = 1 << 20
# The rank of a job and its position among all jobs, and its key.
_Place = tuple[tuple[float, int], str]


class ReadyJobs:
    """Jobs that may start, and which of them to start next.

    To end early, a run starts the longest chains of jobs first (list scheduling by critical
    path). Then quick results wait for long fits of other methods. So one worker at a time takes
    the job that leads to a result soonest, as long as the longest chain that waits is shorter
    than the work that remains for each worker: then it can start later and the run is no longer.

    Parameters
    ----------
    jobs
        All jobs of the run, by key.
    """

    def __init__(self, jobs: Mapping[str, Job]) -> None:
        seconds = {key: round(each * _TICKS) / _TICKS for key, each in durations(jobs).items()}
        chains = priorities(jobs, seconds)
        soon = until_result(jobs, seconds)
        self._seconds = seconds
        self._chains = chains
        # Seconds of work in all jobs that have neither begun nor ended.
        self._unbegun = sum(seconds.values())
        self._unended = set(jobs)
        self._began: dict[str, float] = {}
        self._quick: set[str] = set()
        self._by_chain = {key: (-chains[key], number) for number, key in enumerate(jobs)}
        self._by_result = {key: (soon[key], number) for number, key in enumerate(jobs)}
        # Jobs that may start, with those that have begun since they were added.
        self._longest: list[_Place] = []
        self._soonest: list[_Place] = []
        self.ready: set[str] = set()

    def add(self, key: str) -> None:
        """Add a job that may start, or start again."""
        if key not in self._unended or key in self._began:
            self._unbegun += self._seconds[key]
        self._stop(key)
        self._unended.add(key)
        if key not in self.ready:
            heapq.heappush(self._longest, (self._by_chain[key], key))
            heapq.heappush(self._soonest, (self._by_result[key], key))
        self.ready.add(key)

    def end(self, key: str) -> None:
        """Note that a job has ended, or will not run."""
        if key in self._unended and key not in self._began:
            self._unbegun -= self._seconds[key]
        self._stop(key)
        self._unended.discard(key)

    def _stop(self, key: str) -> None:
        self._began.pop(key, None)
        self._quick.discard(key)

    def start(self, now: float | None = None) -> str:
        """Remove and return the key of the job to start next.

        Parameters
        ----------
        now
            The time in seconds; of the clock if None.
        """
        now = time.monotonic() if now is None else now
        longest, soonest = self._first(self._longest), self._first(self._soonest)
        workers = len(self._began) + 1
        urgent = self._chains[longest] >= self._remaining(now) / workers
        chosen = longest if self._quick or urgent else soonest
        if chosen == soonest:
            self._quick.add(chosen)
        self.ready.remove(chosen)
        self._began[chosen] = now
        self._unbegun -= self._seconds[chosen]
        return chosen

    def _first(self, heap: list[_Place]) -> str:
        """Return the first job of a heap that may start; drop those that have begun."""
        while heap[0][1] not in self.ready:
            heapq.heappop(heap)
        return heap[0][1]

    def _remaining(self, now: float) -> float:
        """Return the seconds of work in all jobs that have not ended."""
        begun = sum(
            max(0.0, self._seconds[key] - (now - began)) for key, began in self._began.items()
        )
        return self._unbegun + begun
