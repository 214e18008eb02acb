"""Runs one job after the other in this process."""

from __future__ import annotations

from harmbench.execution.compute.job_result import JobResult
from harmbench.execution.schedule.executors.base import Executor
from harmbench.execution.schedule.jobs import Job
from harmbench.execution.schedule.session import Session


class Serial(Executor):
    """Runs a submitted job when `ended` is called.

    Parameters
    ----------
    session
        Plan and runner of this process.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._job: Job | None = None

    @property
    def free(self) -> int:
        """One, unless a job is submitted."""
        return int(self._job is None)

    def submit(self, job: Job) -> None:
        """Keep the job until `ended` is called."""
        self._job = job

    def ended(self, seconds: float) -> list[tuple[Job, JobResult]]:
        """Run the submitted job to its end; `seconds` is not used."""
        job, self._job = self._job, None
        return [] if job is None else [(job, self._session.perform(job.key))]
