"""Runs jobs in one process, with a log file for each."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO, TypeVar

import torch

from harmbench.execution.compute.job_result import JobResult
from harmbench.execution.compute.runner import Runner
from harmbench.execution.plan.durations import Durations
from harmbench.execution.plan.fit import Fit
from harmbench.execution.plan.plan import Plan, make_plan
from harmbench.execution.plan.selection import select
from harmbench.execution.schedule.jobs import Job, jobs
from harmbench.execution.schedule.run_options import RunOptions
from harmbench.plugins import Registry
from harmbench.util import device as devices
from harmbench.util import memory
from harmbench.util.progress import Progress, Silent, item_count

T = TypeVar("T")
_LOG_INTERVAL_SECONDS = 30.0


class Session:
    """A plan, and the runner that computes its jobs in this process.

    Parameters
    ----------
    plan, runner
        The plan and the runner.
    all_jobs
        Jobs of the plan, by key.
    logs
        Folder for a log file of each job.
    """

    def __init__(self, plan: Plan, runner: Runner, all_jobs: Mapping[str, Job], logs: Path) -> None:
        self._plan = plan
        self._runner = runner
        self._jobs = all_jobs
        self._logs = logs

    @classmethod
    def of(cls, options: RunOptions, home: Path, logs: Path, progress: Progress) -> Session:
        """Rebuild the plan in a worker process."""
        device = prepare(options)
        registry = Registry.discover(options.plugins, home=home)
        plan = make_plan(registry, select(registry, options.request), home, Silent())
        runner = Runner(registry=registry, home=home, device=device, progress=progress)
        return cls(plan, runner, jobs(plan, Durations({}, {})), logs)

    def perform(self, key: str, *, wait: bool = False) -> JobResult:
        """Run a job; if another process holds it, return `PLANNED` at once unless `wait`."""
        job = self._jobs[key]
        self._logs.mkdir(parents=True, exist_ok=True)
        with (self._logs / log_name(job)).open("a") as stream:
            log = _Log(stream, self._runner.progress)
            with log.listening():
                start = time.monotonic()
                log.write(f"{job.title}: on {devices.describe(self._runner.device)}")
                runner = self._runner.with_progress(log)
                if isinstance(job.payload, Fit):
                    outcome = runner.make(job.payload, wait=wait)
                else:
                    outcome = runner.compute(
                        job.payload,
                        self._plan.metrics,
                        wait=wait,
                        shares=job.payload.outputs_key in self._plan.cells_of_outputs,
                    )
                if "traceback" in outcome.facts:
                    log.write(str(outcome.facts["traceback"]))
                memory.give_back(self._runner.device)
                seconds = time.monotonic() - start
                ending = f"{outcome.status.value} after {seconds:.1f} s"
                log.write(f"{ending}: {outcome.reason}" if outcome.reason else ending)
        return outcome


def prepare(options: RunOptions) -> torch.device:
    """Configure torch by the run options, and return the device.

    Raises
    ------
    UserError
        If the device is not available.
    """
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    if options.deterministic:
        # cuBLAS reads this when it is first used.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(mode=True)
    device = devices.resolve(options.device)
    if options.max_memory is not None:
        memory.limit(device, options.max_memory)
    return device


def log_name(job: Job) -> str:
    """Return the name of a job's log file: its title and the start of its key."""
    return f"{re.sub(r'[^A-Za-z0-9.]+', '-', job.title).strip('-')[:80]}-{job.key[:8]}.log"


class _Log:
    """Progress that also writes to a job's log file at intervals."""

    def __init__(self, stream: TextIO, progress: Progress) -> None:
        self._stream = stream
        self._progress = progress
        self._last = time.monotonic()
        self._note = ""

    def write(self, text: str) -> None:
        self._stream.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")
        self._stream.flush()

    def track(self, items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
        """Yield the items, and write a line at intervals."""
        total = item_count(items, total)
        for count, item in enumerate(self._progress.track(items, description, total), start=1):
            yield item
            if time.monotonic() - self._last > _LOG_INTERVAL_SECONDS:
                self._last = time.monotonic()
                note = f", {self._note}" if self._note else ""
                self.write(f"{description}: {count}/{total or '?'}{note}")

    def note(self, text: str) -> None:
        """Show a note, and keep it for the next line of the log."""
        self._note = text
        self._progress.note(text)

    def log(self, text: str) -> None:
        """Print a line, and write it to the log."""
        self.write(text)
        self._progress.log(text)

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Also write warnings and the log messages of libraries."""
        handler = logging.StreamHandler(self._stream)
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
        previous = warnings.showwarning

        def show(message: Any, category: Any, filename: str, lineno: int, *_: Any) -> None:
            self.write(warnings.formatwarning(message, category, filename, lineno).rstrip())

        logging.getLogger().addHandler(handler)
        warnings.showwarning = show  # type: ignore[assignment]
        try:
            yield
        finally:
            warnings.showwarning = previous
            logging.getLogger().removeHandler(handler)
