"""Jobs as job arrays of a cluster, sent by submitit: one array for each kind of resources."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harmbench.contracts.cell import Status
from harmbench.errors import UserError
from harmbench.execution.compute.job_result import JobResult
from harmbench.execution.schedule.executors.base import Executor
from harmbench.execution.schedule.jobs import Job
from harmbench.execution.schedule.run_options import RunOptions
from harmbench.util.processes import processors
from harmbench.util.progress import Silent

if TYPE_CHECKING:
    import submitit

_POLL_SECONDS = 1.0
# Jobs in a cluster's queue at a time. Slurm's default limit of an array is 1001 jobs, and its
# default limit of all jobs is 10,000.
_MOST_SENT = 1000
# A job that the cluster lost is sent once more.
_AT_ONCE = 64  # jobs of an array that run at the same time
_ATTEMPTS = 2
# submitit's default of 3 is too small for long fits, and with a time limit below ten minutes it
# counts preemptions too. A limit is needed: a fit may never reach its first checkpoint.
_MOST_TIMEOUTS = 100


@dataclass(frozen=True, kw_only=True)
class Resources:
    """Resources that a cluster job requests.

    Attributes
    ----------
    partition
        Partition; the cluster's default if None.
    minutes
        Time limit of a job.
    memory
        Memory of a job, in MiB; the partition's default if None.
    cpus
        Cores of a job.
    gpus
        GPUs of a job that is a fit or applies one; other jobs request none.
    cells_per_job
        Cells of one seed, or fits of models without parameters, that a cluster job computes, one
        after the other. Other fits, and those of programs, are always computed alone.
    """

    partition: str | None = None
    minutes: int = 24 * 60
    memory: int | None = None
    cpus: int = 4
    gpus: int = 1
    cells_per_job: int = 1


class _ClusterJob:
    """Jobs of one seed; submitit pickles it, and calls it on the cluster."""

    def __init__(self, options: str, home: str, keys: tuple[str, ...], logs: str) -> None:
        self.options = options
        self.home = home
        self.keys = keys
        self.logs = logs

    def __call__(self) -> list[dict[str, Any]]:
        """Run the jobs, one after the other."""
        from harmbench.execution.schedule.session import Session

        options = RunOptions.from_json(self.options)
        session = Session.of(options, Path(self.home), Path(self.logs), Silent())
        return [session.perform(key, wait=True).to_json() for key in self.keys]

    def checkpoint(self) -> submitit.helpers.DelayedSubmission:
        """Return the job to submit after the cluster preempted this one: the same jobs.

        Those that have ended are in the stores.
        """
        import submitit

        return submitit.helpers.DelayedSubmission(self)


class Submitted(Executor):
    """Sends jobs to a cluster as they become ready.

    Parameters
    ----------
    options
        Run options of the jobs.
    home
        Folder of the stores; all nodes must have access to it.
    folder
        Folder of submitit's files and the logs; all nodes must have access to it.
    resources
        Resources that jobs request.
    cluster
        `"slurm"`, or `"local"` for processes on this machine.

    Raises
    ------
    UserError
        If submitit is not installed, or the cluster is not available.
    """

    def __init__(
        self,
        options: RunOptions,
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
        self._options = options
        self._home = home
        self._logs = folder
        self._resources = resources
        self._submitit = submitit
        try:
            self._cluster = submitit.AutoExecutor(
                folder / "jobs", cluster=cluster, **{f"{cluster}_max_num_timeout": _MOST_TIMEOUTS}
            )
        except RuntimeError as error:
            raise UserError(f"there is no {cluster} cluster here: {error}") from None
        # submitit's local cluster has no queue: it starts every job at once.
        self._most_sent = processors() if cluster == "local" else _MOST_SENT
        self._unsent: list[Job] = []
        self._sent: list[tuple[list[Job], submitit.Job[Any]]] = []
        self._attempts: dict[str, int] = {}

    @property
    def free(self) -> int:
        """Number of further jobs until the cluster's queue is full.

        0 while more than half of the queue has not ended, so that arrays are large.
        """
        if not self._unsent and len(self._sent) > self._most_sent // 2:
            return 0
        sent = sum(len(group) for group, _ in self._sent)
        most = self._most_sent * self._resources.cells_per_job
        return max(0, most - sent - len(self._unsent))

    def submit(self, job: Job) -> None:
        """Keep a job for the next array."""
        self._unsent.append(job)

    def ended(self, seconds: float) -> list[tuple[Job, JobResult]]:
        """Send the submitted jobs, and return the jobs that have ended."""
        self._send()
        until = time.monotonic() + seconds
        while True:
            done = [each for each in self._sent if each[1].done()]
            results = [result for group, sent in done for result in self._end(group, sent)]
            # Also without a result: jobs that the cluster lost are sent again at once.
            if done or time.monotonic() >= until:
                return results
            time.sleep(min(_POLL_SECONDS, seconds))

    def close(self) -> None:
        """Cancel the jobs that have not ended."""
        for _, sent in self._sent:
            with contextlib.suppress(Exception):  # the cluster may have forgotten the job
                sent.cancel()
        self._sent.clear()

    def _send(self) -> None:
        """Send as many jobs as the queue has places for; the others wait."""
        places = self._most_sent - len(self._sent)
        groups = self._groups()[:places]
        for on_gpu in (True, False):
            chosen = [group for group in groups if self._on_gpu(group[0]) is on_gpu]
            if not chosen:
                continue
            self._cluster.update_parameters(**self._parameters(on_gpu=on_gpu))
            cluster_jobs = [
                _ClusterJob(
                    self._job_options(group[0], on_gpu=on_gpu).to_json(),
                    str(self._home),
                    tuple(job.key for job in group),
                    str(self._logs),
                )
                for group in chosen
            ]
            with self._cluster.batch():
                array = [self._cluster.submit(cluster_job) for cluster_job in cluster_jobs]
            self._sent += zip(chosen, array, strict=True)
        sent = {job.key for group in groups for job in group}
        self._unsent = [job for job in self._unsent if job.key not in sent]

    def _groups(self) -> list[list[Job]]:
        """Return the unsent jobs by cluster job.

        Those of a seed and with the same resources share one, unless they were lost with one.
        """
        groups: list[list[Job]] = []
        unfilled: dict[tuple[int, bool, bool], list[Job]] = {}
        for job in self._unsent:
            if job.long or job.key in self._attempts:
                groups.append([job])
                continue
            of = (job.seed, job.is_fit, self._on_gpu(job))
            if len(unfilled.get(of, ())) % self._resources.cells_per_job == 0:
                unfilled[of] = []
                groups.append(unfilled[of])
            unfilled[of].append(job)
        return groups

    def _job_options(self, job: Job, *, on_gpu: bool) -> RunOptions:
        """Return the run options of one job; it plans the cells of its own seed only."""
        return dataclasses.replace(
            self._options,
            request=dataclasses.replace(self._options.request, seeds=(job.seed,)),
            device=self._options.device if on_gpu else "cpu",
        )

    def _on_gpu(self, job: Job) -> bool:
        return job.learns and self._resources.gpus > 0

    def _parameters(self, *, on_gpu: bool) -> Mapping[str, Any]:
        resources = self._resources
        parameters: dict[str, Any] = {
            "name": "harmbench",
            "timeout_min": resources.minutes,
            "cpus_per_task": resources.cpus,
            "gpus_per_node": resources.gpus if on_gpu else 0,
        }
        if resources.memory is not None:
            parameters["mem_gb"] = resources.memory / 1024
        if self._cluster.cluster == "slurm":
            parameters |= {
                "slurm_array_parallelism": _AT_ONCE,
                # Without this, a preempted job would count as ended.
                "slurm_additional_parameters": {"requeue": True},
            }
            if resources.partition is not None:
                parameters["slurm_partition"] = resources.partition
        return parameters

    def _end(self, group: list[Job], sent: submitit.Job[Any]) -> Iterator[tuple[Job, JobResult]]:
        """Yield the results of a cluster job; keep the jobs that it lost, to send them again."""
        self._sent.remove((group, sent))
        try:
            error = sent.exception()
            if error is None:
                yield from zip(group, map(JobResult.from_json, sent.result()), strict=True)
                return
        except OSError as missing:  # submitit's files were deleted
            error = self._submitit.core.utils.UncompletedJobError(str(missing))
        lost = isinstance(error, self._submitit.core.utils.UncompletedJobError)
        reason = " ".join(str(error).split())[-500:]
        for job in group:
            self._attempts[job.key] = self._attempts.get(job.key, 0) + 1
            if lost and self._attempts[job.key] < _ATTEMPTS:
                self._unsent.append(job)
                continue
            yield (
                job,
                JobResult(
                    status=Status.FAILED,
                    reason=f"cluster job {sent.job_id} has no result: {reason}",
                ),
            )
