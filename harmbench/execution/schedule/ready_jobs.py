"""The order in which jobs start: results soon, without a longer run."""

from __future__ import annotations

import time
from collections.abc import Mapping

from harmbench.execution.schedule.jobs import Job, durations, priorities, until_result


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
        self._seconds = durations(jobs)
        self._chains = priorities(jobs, self._seconds)
        self._soon = until_result(jobs, self._seconds)
        self._positions = {key: number for number, key in enumerate(jobs)}
        self._unended = set(jobs)
        self._began: dict[str, float] = {}
        self._quick: set[str] = set()
        self.ready: set[str] = set()

    def add(self, key: str) -> None:
        """Add a job that may start, or start again."""
        self._ended(key)
        self._unended.add(key)
        self.ready.add(key)

    def end(self, key: str) -> None:
        """Note that a job has ended, or will not run."""
        self._ended(key)
        self._unended.discard(key)

    def _ended(self, key: str) -> None:
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
        longest = min(self.ready, key=lambda key: (-self._chains[key], self._positions[key]))
        soonest = min(self.ready, key=lambda key: (self._soon[key], self._positions[key]))
        workers = len(self._began) + 1
        urgent = self._chains[longest] >= self._remaining(now) / workers
        chosen = longest if self._quick or urgent else soonest
        if chosen == soonest:
            self._quick.add(chosen)
        self.ready.remove(chosen)
        self._began[chosen] = now
        return chosen

    def _remaining(self, now: float) -> float:
        """Return the seconds of work in all jobs that have not ended."""
        return sum(
            max(0.0, self._seconds[key] - (now - self._began.get(key, now)))
            for key in self._unended
        )
