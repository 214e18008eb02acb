"""Options of the executors, and the choice between them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import torch

from harmbench.execution.schedule.executors.base import Executor
from harmbench.execution.schedule.executors.local import Lanes, LocalExecutor
from harmbench.execution.schedule.executors.serial import Serial
from harmbench.execution.schedule.executors.submitted import Resources, Submitted
from harmbench.execution.schedule.invocation import Invocation
from harmbench.execution.schedule.run_options import RunOptions
from harmbench.execution.schedule.session import Session
from harmbench.util.device import resolve
from harmbench.util.processes import processors

# Each process holds its own copy of torch and of the model.
_MOST_WORKERS = 4


@dataclass(frozen=True)
class ExecutorOptions:
    """An executor by name, with its options.

    Attributes
    ----------
    name
        `serial`, `local`, `slurm`, or `submitit` for submitit's own processes on this machine.
    workers
        Number of processes of `local`; None for one per GPU, or one per CPU core up to four.
    resources
        Resources that jobs of `slurm` request.
    """

    name: str = "serial"
    workers: int | None = None
    resources: Resources = field(default_factory=Resources)

    def to_json(self) -> dict[str, Any]:
        """Return the options as JSON types."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> ExecutorOptions:
        """Read the result of `to_json`."""
        return cls(content["name"], content["workers"], Resources(**content["resources"]))

    def open(self, invocation: Invocation, session: Session, lanes: Lanes) -> Executor:
        """Return the executor; `session` runs the jobs of `serial` in this process.

        Raises
        ------
        UserError
            If the executor is not available on this machine.
        """
        options = invocation.options
        if self.name == "local":
            devices = self._devices(options.device)
            if options.threads is None:
                share = max(1, processors() // len(devices))
                options = dataclasses.replace(options, threads=share)
            return LocalExecutor(options, invocation.home, invocation.logs, devices, lanes)
        if self.name in ("slurm", "submitit"):
            cluster = "slurm" if self.name == "slurm" else "local"
            resources = self.resources
            if options.device == "cpu":
                resources = dataclasses.replace(resources, gpus=0)
            if options.threads is None:
                options = dataclasses.replace(options, threads=resources.cpus)
            return Submitted(options, invocation.home, invocation.logs, resources, cluster)
        return Serial(session)

    def _devices(self, device: str) -> list[str]:
        """Return the device of each local worker, of a device that `local_options` has checked."""
        gpus = torch.cuda.device_count() if device in ("auto", "cuda") else 0
        if gpus:
            count = self.workers or gpus
            return [f"cuda:{number % gpus}" for number in range(count)]
        if device == "auto":
            device = "cpu"
        cores = processors()
        return [device] * (self.workers or (min(cores, _MOST_WORKERS) if device == "cpu" else 1))


def local_options(choice: ExecutorOptions, options: RunOptions) -> RunOptions:
    """Return the options for this process, which computes only with `serial`.

    Raises
    ------
    UserError
        If the workers of `local` cannot have the device, since this machine lacks it.
    """
    if choice.name == "serial":
        return options
    if choice.name == "local":
        resolve(options.device)
    return dataclasses.replace(options, device="cpu", max_memory=None, threads=None)
