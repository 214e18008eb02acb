"""One work after the other, in this process."""

from __future__ import annotations

from harmbench.execution.compute.job_result import JobResult
from harmbench.execution.schedule.executors.base import Executor
from harmbench.execution.schedule.jobs import Job
from harmbench.execution.schedule.session import Session


class Serial(Executor):
    """Computes each work when its end is asked for.

    Parameters
    ----------
    session
        Plan and runner of this process.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._work: Job | None = None

    @property
    def free(self) -> int:
        """One, unless a work was taken."""
        return int(self._work is None)

    def submit(self, job: Job) -> None:
        """Take a work."""
        self._work = job

    def ended(self, seconds: float) -> list[tuple[Job, JobResult]]:
        """Compute the work that was taken, however long that is."""
        job, self._work = self._work, None
        return [] if job is None else [(job, self._session.perform(job.key))]
