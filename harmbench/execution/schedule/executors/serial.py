"""One work after the other, in this process."""

from __future__ import annotations

from harmbench.execution.compute.outcome import Outcome
from harmbench.execution.schedule.executors.base import Executor
from harmbench.execution.schedule.jobs import Work
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
        self._work: Work | None = None

    @property
    def free(self) -> int:
        """One, unless a work was taken."""
        return int(self._work is None)

    def submit(self, work: Work) -> None:
        """Take a work."""
        self._work = work

    def ended(self, seconds: float) -> list[tuple[Work, Outcome]]:
        """Compute the work that was taken, however long that is."""
        work, self._work = self._work, None
        return [] if work is None else [(work, self._session.perform(work.key))]
