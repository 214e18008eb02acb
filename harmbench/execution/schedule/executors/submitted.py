"""Works as jobs of a cluster, by submitit: job arrays, one for each kind of resources."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harmbench.contracts.cell import Status
from harmbench.errors import UserError
from harmbench.execution.compute.job_result import JobResult
from harmbench.execution.schedule.executors.base import Executor
from harmbench.execution.schedule.jobs import Job
from harmbench.execution.schedule.run_options import RunOptions
from harmbench.util.progress import Silent

if TYPE_CHECKING:
    import submitit

_SECONDS_BETWEEN_LOOKS = 1.0
# A job that the cluster lost is sent once more.
_TRIES = 2


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a job asks of the cluster.

    Attributes
    ----------
    partition
        Partition; the cluster's default if None.
    minutes
        Most minutes that one work may take.
    memory
        Memory of a job, in MiB; the partition's default if None.
    cpus
        Cores of a job.
    gpus
        GPUs of a job that fits or applies what was fitted; others ask for none.
    at_once
        Most jobs of an array that run at the same time.
    """

    partition: str | None = None
    minutes: int = 24 * 60
    memory: int | None = None
    cpus: int = 4
    gpus: int = 1
    at_once: int = 64


class _ClusterJob:
    """One work, as a job; submitit sends it to the cluster as it is, and calls it there."""

    def __init__(self, order: str, home: str, key: str, logs: str) -> None:
        self.order = order
        self.home = home
        self.key = key
        self.logs = logs

    def __call__(self) -> dict[str, Any]:
        """Compute the work."""
        from harmbench.execution.schedule.session import Session

        order = RunOptions.from_json(self.order)
        session = Session.of(order, Path(self.home), Path(self.logs), Silent())
        return session.perform(self.key, wait=True).to_json()

    def checkpoint(self) -> submitit.helpers.DelayedSubmission:
        """Return what goes on where the cluster took the job's place: the same."""
        import submitit

        return submitit.helpers.DelayedSubmission(self)


class Submitted(Executor):
    """Sends works to a cluster as they become ready.

    Parameters
    ----------
    order
        Run options of the jobs.
    home
        Folder of the stores; every node must see it.
    folder
        For submitit's files and logs of the works; every node must see it.
    resources
        What jobs ask for.
    cluster
        `"slurm"`, or `"local"` for processes on this machine.

    Raises
    ------
    UserError
        If submitit is not installed, or there is no such cluster.
    """

    def __init__(
        self,
        order: RunOptions,
        home: Path,
        folder: Path,
        resources: Resources,
        cluster: str = "slurm",
    ) -> None:
        try:
            import submitit
        except ImportError:
            raise UserError(
                "the executor 'slurm' needs submitit: pip install 'harmbench[slurm]'"
            ) from None
        self._order = order
        self._home = home
        self._logs = folder
        self._resources = resources
        self._submitit = submitit
        try:
            self._cluster = submitit.AutoExecutor(folder / "jobs", cluster=cluster)
        except RuntimeError as error:
            raise UserError(f"there is no {cluster} cluster here: {error}") from None
        self._taken: list[Job] = []
        self._jobs: dict[str, tuple[Job, submitit.Job[Any]]] = {}
        self._tries: dict[str, int] = {}

    @property
    def free(self) -> int:
        """As many as there are: it is the cluster that lets them wait."""
        return 1

    def submit(self, job: Job) -> None:
        """Keep a work for the next array."""
        self._taken.append(job)

    def ended(self, seconds: float) -> list[tuple[Job, JobResult]]:
        """Send what was taken, and return the works whose jobs have ended."""
        self._send()
        until = time.monotonic() + seconds
        while True:
            found = [
                ended
                for job, planned in list(self._jobs.values())
                if planned.done() and (ended := self._end(job, planned)) is not None
            ]
            if found or self._taken or time.monotonic() >= until:
                return found
            time.sleep(min(_SECONDS_BETWEEN_LOOKS, seconds))

    def close(self) -> None:
        """Cancel the jobs that have not ended."""
        for _, planned in self._jobs.values():
            with contextlib.suppress(Exception):  # the cluster may know it no more
                planned.cancel()
        self._jobs.clear()

    def _send(self) -> None:
        for on_gpu in (True, False):
            group = [job for job in self._taken if self._on_gpu(job) is on_gpu]
            if not group:
                continue
            self._cluster.update_parameters(**self._parameters(on_gpu=on_gpu))
            order = self._order if on_gpu else dataclasses.replace(self._order, device="cpu")
            jobs = [
                _ClusterJob(order.to_json(), str(self._home), job.key, str(self._logs))
                for job in group
            ]
            with self._cluster.batch():
                planned_cells = [self._cluster.submit(job) for job in jobs]
            for job, planned in zip(group, planned_cells, strict=True):
                self._jobs[job.key] = job, planned
        self._taken.clear()

    def _on_gpu(self, job: Job) -> bool:
        return job.learns and self._resources.gpus > 0

    def _parameters(self, *, on_gpu: bool) -> Mapping[str, Any]:
        asked = self._resources
        parameters: dict[str, Any] = {
            "name": "harmbench",
            "timeout_min": asked.minutes,
            "cpus_per_task": asked.cpus,
            "gpus_per_node": asked.gpus if on_gpu else 0,
        }
        if asked.memory is not None:
            parameters["mem_gb"] = asked.memory / 1024
        if self._cluster.cluster == "slurm":
            parameters |= {
                "slurm_array_parallelism": asked.at_once,
                # Otherwise a job that lost its place would be counted as ended.
                "slurm_additional_parameters": {"requeue": True},
            }
            if asked.partition is not None:
                parameters["slurm_partition"] = asked.partition
        return parameters

    def _end(self, job: Job, planned: submitit.Job[Any]) -> tuple[Job, JobResult] | None:
        del self._jobs[job.key]
        error = planned.exception()
        if error is None:
            return job, JobResult.from_json(planned.result())
        self._tries[job.key] = self._tries.get(job.key, 0) + 1
        reason = " ".join(str(error).split())[-500:]
        if isinstance(error, self._submitit.core.utils.UncompletedJobError) and (
            self._tries[job.key] < _TRIES
        ):
            self._taken.append(job)
            return None
        return job, JobResult(
            status=Status.FAILED, reason=f"its job {planned.job_id} left no result: {reason}"
        )
