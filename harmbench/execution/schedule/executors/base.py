"""The interface of executors: in this process, in worker processes, or on a cluster."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from harmbench.execution.compute.job_result import JobResult
from harmbench.execution.schedule.jobs import Job


class Executor(ABC):
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

    def close(self) -> None:  # noqa: B027 - `Serial` has nothing to stop
        """Stop all running jobs; results that are stored already are kept."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
