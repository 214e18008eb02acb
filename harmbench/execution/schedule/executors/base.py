"""The small interface of what computes works: in this process, in others, on other machines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from harmbench.execution.compute.job_result import JobResult
from harmbench.execution.schedule.jobs import Job


class Executor(ABC):
    """Computes the jobs that it is given and reports how each one ended.

    What it computes is in the stores when it reports. A context manager: at its end
    nothing is left running.
    """

    @property
    @abstractmethod
    def free(self) -> int:
        """How many more works can be taken now."""

    @abstractmethod
    def submit(self, job: Job) -> None:
        """Take a work, all of whose fits are there."""

    @abstractmethod
    def ended(self, seconds: float) -> list[tuple[Job, JobResult]]:
        """Return the works that have ended, waiting for one at most so long."""

    def close(self) -> None:  # noqa: B027 - not every one has something to stop
        """Stop all that is running; what was computed by then is kept."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
