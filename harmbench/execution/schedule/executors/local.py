"""Worker processes on this machine: one for each GPU, or several that share the CPU.

Hand-written: with joblib a killed worker aborts all jobs, and submitit streams no progress.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Protocol

from harmbench.contracts.cell import Status
from harmbench.execution.compute.job_result import JobResult
from harmbench.execution.schedule.executors.base import Executor
from harmbench.execution.schedule.jobs import Job
from harmbench.execution.schedule.run_options import RunOptions

# A job is retried once after its worker died: the cause may have been another process.
_ATTEMPTS = 2


class WorkerBar(Protocol):
    """Shows the progress of one worker."""

    def show(self, title: str, count: int = 0, total: int | None = None, note: str = "") -> None:
        """Show a title, the count of items, and a note next to it."""
        ...

    def clear(self) -> None:
        """Show that the worker is idle."""
        ...


class Lanes(Protocol):
    """Shows the progress of several workers."""

    def lane(self) -> WorkerBar:
        """Return a new line."""
        ...

    def log(self, text: str) -> None:
        """Print a permanent line."""
        ...


class _Worker:
    """A worker process and its present job."""

    def __init__(
        self, number: int, variables: dict[str, str], start: str, errors: IO[bytes], lane: WorkerBar
    ) -> None:
        self.number = number
        self.lane = lane
        self.listener: threading.Thread
        self.job: Job | None = None
        self.title = self.note = ""
        # torch reads these variables when it is imported.
        self.process = subprocess.Popen(
            [sys.executable, "-m", "harmbench.execution.schedule.worker"],
            env=os.environ | variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        self.send(start)

    def send(self, line: str) -> None:
        """Send a line; `_listen` notices if the process has died."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()

    def close(self) -> int:
        """Wait for the process to end, and return its exit code."""
        code = self.process.wait()
        self.listener.join()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        self.lane.clear()
        return code


class LocalExecutor(Executor):
    """A pool of worker processes.

    Parameters
    ----------
    options
        Run options of the workers, except for their devices.
    home, logs
        Folder of the stores, and folder of the logs.
    devices
        The device of each worker: `cpu`, or `cuda:N` for one GPU each.
    lanes
        Shows their progress.
    """

    def __init__(
        self, options: RunOptions, home: Path, logs: Path, devices: Sequence[str], lanes: Lanes
    ) -> None:
        self._options = options
        self._home = home
        self._logs = logs
        self._devices = list(devices)
        self._lanes = lanes
        self._workers: dict[int, _Worker] = {}
        # None: the worker has ended.
        self._messages: queue.SimpleQueue[tuple[_Worker, dict[str, Any] | None]]
        self._messages = queue.SimpleQueue()
        self._retries: list[Job] = []
        self._attempts: dict[str, int] = {}

    @property
    def free(self) -> int:
        """Number of idle workers."""
        busy = sum(worker.job is not None for worker in self._workers.values())
        return len(self._devices) - busy - len(self._retries)

    def submit(self, job: Job) -> None:
        """Send a job to an idle worker; start a worker if none is idle."""
        idle = [worker for worker in self._workers.values() if worker.job is None]
        worker = idle[0] if idle else self._start()
        worker.job, worker.title, worker.note = job, job.title, ""
        worker.lane.show(job.title)
        worker.send(json.dumps({"key": job.key}))

    def ended(self, seconds: float) -> list[tuple[Job, JobResult]]:
        """Return the jobs that have ended, including those whose worker died twice."""
        while self._retries:
            self.submit(self._retries.pop())
        try:
            messages = [self._messages.get(timeout=seconds)]
        except queue.Empty:
            return []
        while not self._messages.empty():
            messages.append(self._messages.get())
        results = [
            self._end_worker(worker) if message is None else self._read(worker, message)
            for worker, message in messages
        ]
        return [result for result in results if result is not None]

    def close(self) -> None:
        """Kill the workers; entries of the stores are written atomically."""
        for worker in self._workers.values():
            worker.process.kill()
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()

    def _start(self) -> _Worker:
        number = min(set(range(len(self._devices))) - self._workers.keys())
        device, variables = self._devices[number], {}
        if device.startswith("cuda:"):
            index = int(device.removeprefix("cuda:"))
            visible = os.environ.get("CUDA_VISIBLE_DEVICES")
            variables["CUDA_VISIBLE_DEVICES"] = visible.split(",")[index] if visible else str(index)
            device = "cuda:0"
        if self._options.threads is not None:
            variables["OMP_NUM_THREADS"] = str(self._options.threads)
        start = json.dumps(
            {
                "options": dataclasses.replace(self._options, device=device).to_json(),
                "home": str(self._home),
                "logs": str(self._logs),
            }
        )
        self._logs.mkdir(parents=True, exist_ok=True)
        with (self._logs / f"worker-{number}.log").open("ab") as errors:
            worker = _Worker(number, variables, start, errors, self._lanes.lane())
        self._workers[number] = worker
        worker.listener = threading.Thread(target=self._listen, args=(worker,), daemon=True)
        worker.listener.start()
        return worker

    def _listen(self, worker: _Worker) -> None:
        assert worker.process.stdout is not None
        try:
            for line in worker.process.stdout:
                with contextlib.suppress(ValueError):  # half a line: the worker was killed
                    self._messages.put((worker, json.loads(line)))
        finally:
            self._messages.put((worker, None))

    def _read(self, worker: _Worker, message: dict[str, Any]) -> tuple[Job, JobResult] | None:
        """Read a message of a worker; return its job and the result if the job has ended."""
        job = worker.job
        if "ended" in message and job is not None:
            worker.job = None
            worker.lane.clear()
            return job, JobResult.from_json(message["outcome"])
        if "log" in message:
            self._lanes.log(message["log"])
        if "unable" in message and job is not None:
            self._attempts[job.key] = _ATTEMPTS  # a new worker could not start either
            worker.note = message["unable"]
        if "at" in message:
            worker.title = message["at"]
            worker.lane.show(worker.title, message["count"], message["total"], worker.note)
        if "note" in message:
            worker.note = message["note"]
        return None

    def _end_worker(self, worker: _Worker) -> tuple[Job, JobResult] | None:
        """Retry the job of a worker that died, or return it as failed."""
        if self._workers.get(worker.number) is not worker:
            return None  # `close` killed it
        del self._workers[worker.number]
        code = worker.close()
        job = worker.job
        if job is None:
            return None
        self._attempts[job.key] = self._attempts.get(job.key, 0) + 1
        ending = _ending(code)
        if self._attempts[job.key] < _ATTEMPTS:
            self._lanes.log(f"warning: worker {ending} during {job.title}; retrying")
            self._retries.append(job)
            return None
        reason = worker.note or f"worker {ending}, in both attempts"
        return job, JobResult(
            status=Status.FAILED,
            reason=f"{reason} (see {self._logs / f'worker-{worker.number}.log'})",
        )


def _ending(code: int) -> str:
    """Describe how a process ended, by its exit code."""
    if code == -signal.SIGKILL:
        return "killed by signal 9 (possibly out of memory)"
    return f"killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
