"""The interface of executors: in this process, in worker processes, or on a cluster."""

from __future__ import annotations

from abc import abstractmethod

from harmbench.execution.compute.job_result import JobResult
from harmbench.execution.schedule.jobs import Job
from harmbench.util.closed_on_exit import ClosedOnExit


class Executor(ClosedOnExit):
    """Computes jobs and reports the result of each.

    A result is in the stores before it is reported. At the end of the context manager, no
    job is running.
    """

    @property
    @abstractmethod
    def free(self) -> int:
        """Number of further jobs that can be submitted now."""

    @abstractmethod
    def submit(self, job: Job) -> None:
        """Submit a job; the jobs that it depends on have ended."""

    @abstractmethod
    def ended(self, seconds: float) -> list[tuple[Job, JobResult]]:
        """Return the jobs that have ended, after waiting for one for at most `seconds`."""

    def close(self) -> None:
        """Stop all running jobs; results that are stored already are kept."""
