"""Several processes on this machine: one for each GPU, or several that share the CPU.

Hand-written: with joblib a killed worker aborts all jobs, and submitit streams no progress.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import queue
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

# A work that a worker died of is tried once more: it may have been another one's fault.
_TRIES = 2


class WorkerBar(Protocol):
    """Shows what one worker is at."""

    def show(self, title: str, count: int = 0, total: int | None = None, note: str = "") -> None:
        """Show a work, how far it has come, and a word beside it."""
        ...

    def clear(self) -> None:
        """Show that nothing is being done."""
        ...


class Lanes(Protocol):
    """Shows what several workers are at."""

    def lane(self) -> WorkerBar:
        """Return a new line."""
        ...

    def log(self, text: str) -> None:
        """Print a line that stays."""
        ...


class _Worker:
    """A process, and what it is at."""

    def __init__(
        self, number: int, settings: dict[str, str], start: str, errors: IO[bytes], lane: WorkerBar
    ) -> None:
        self.number = number
        self.lane = lane
        self.listener: threading.Thread
        self.work: Job | None = None
        self.title = self.note = ""
        # Set before torch is imported: it looks at its devices and cores when it is.
        self.process = subprocess.Popen(
            [sys.executable, "-m", "harmbench.execution.schedule.worker"],
            env=os.environ | settings,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        self.send(start)

    def send(self, line: str) -> None:
        """Hand a line over; that it died shows elsewhere."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()

    def close(self) -> int:
        """Wait for its end, and return its exit code."""
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
    order
        Run options of the workers; each worker's own device replaces theirs.
    home, logs
        Folder of the stores, and folder of the logs.
    devices
        The device of each worker: `cpu`, or `cuda:N` for one GPU each.
    lanes
        Where their progress is shown.
    """

    def __init__(
        self, order: RunOptions, home: Path, logs: Path, devices: Sequence[str], lanes: Lanes
    ) -> None:
        self._order = order
        self._home = home
        self._logs = logs
        self._devices = list(devices)
        self._lanes = lanes
        self._workers: dict[int, _Worker] = {}
        self._news: queue.SimpleQueue[tuple[_Worker, dict[str, Any] | None]] = queue.SimpleQueue()
        self._again: list[Job] = []
        self._tries: dict[str, int] = {}

    @property
    def free(self) -> int:
        """How many workers have nothing to do."""
        busy = sum(worker.work is not None for worker in self._workers.values())
        return len(self._devices) - busy - len(self._again)

    def submit(self, job: Job) -> None:
        """Hand a work to a worker, which is started if there is none that waits for one."""
        idle = [worker for worker in self._workers.values() if worker.work is None]
        worker = idle[0] if idle else self._start()
        worker.work, worker.title, worker.note = job, job.title, ""
        worker.lane.show(job.title)
        worker.send(json.dumps({"key": job.key}))

    def ended(self, seconds: float) -> list[tuple[Job, JobResult]]:
        """Return the works that have ended, or whose worker died of them."""
        while self._again:
            self.submit(self._again.pop())
        found: list[tuple[Job, JobResult]] = []
        try:
            news = [self._news.get(timeout=seconds)]
        except queue.Empty:
            return found
        while not self._news.empty():
            news.append(self._news.get())
        for worker, message in news:
            ended = self._died(worker) if message is None else self._heard(worker, message)
            if ended is not None:
                found.append(ended)
        return found

    def close(self) -> None:
        """Stop the workers; what they have stored is whole."""
        for worker in self._workers.values():
            worker.process.kill()
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()

    def _start(self) -> _Worker:
        number = min(set(range(len(self._devices))) - self._workers.keys())
        device, settings = self._devices[number], {}
        if device.startswith("cuda:"):
            index = int(device.removeprefix("cuda:"))
            visible = os.environ.get("CUDA_VISIBLE_DEVICES")
            settings["CUDA_VISIBLE_DEVICES"] = visible.split(",")[index] if visible else str(index)
            device = "cuda:0"
        if self._order.threads is not None:
            settings["OMP_NUM_THREADS"] = str(self._order.threads)
        order = json.dumps(
            {
                "order": dataclasses.replace(self._order, device=device).to_json(),
                "home": str(self._home),
                "logs": str(self._logs),
            }
        )
        self._logs.mkdir(parents=True, exist_ok=True)
        with (self._logs / f"worker-{number}.log").open("ab") as errors:
            worker = _Worker(number, settings, order, errors, self._lanes.lane())
        self._workers[number] = worker
        worker.listener = threading.Thread(target=self._listen, args=(worker,), daemon=True)
        worker.listener.start()
        return worker

    def _listen(self, worker: _Worker) -> None:
        assert worker.process.stdout is not None
        for line in worker.process.stdout:
            self._news.put((worker, json.loads(line)))
        self._news.put((worker, None))

    def _heard(self, worker: _Worker, message: dict[str, Any]) -> tuple[Job, JobResult] | None:
        job = worker.work
        if "ended" in message and job is not None:
            worker.work = None
            worker.lane.clear()
            return job, JobResult.from_json(message["outcome"])
        if "log" in message:
            self._lanes.log(message["log"])
        if "unable" in message and job is not None:
            self._tries[job.key] = _TRIES  # the next one would not be able either
            worker.note = message["unable"]
        if "at" in message:
            worker.title = message["at"]
            worker.lane.show(worker.title, message["count"], message["total"], worker.note)
        if "note" in message:
            worker.note = message["note"]
        return None

    def _died(self, worker: _Worker) -> tuple[Job, JobResult] | None:
        if self._workers.get(worker.number) is not worker:
            return None  # it was stopped by us
        del self._workers[worker.number]
        code = worker.close()
        job = worker.work
        if job is None:
            return None
        self._tries[job.key] = self._tries.get(job.key, 0) + 1
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        if self._tries[job.key] < _TRIES:
            self._lanes.log(f"warning: a worker ended {how} at {job.title}; it is tried again")
            self._again.append(job)
            return None
        reason = worker.note or f"its process ended {how}, twice; a signal 9 may mean no memory"
        return job, JobResult(
            status=Status.FAILED,
            reason=f"{reason} (see {self._logs / f'worker-{worker.number}.log'})",
        )
