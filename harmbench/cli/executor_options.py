"""Options of how cells are computed: executor, device, limits, cluster."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click

from harmbench.cli.options import collected, device_option

if TYPE_CHECKING:
    from harmbench.execution.plan.request import Request
    from harmbench.execution.schedule.executors.options import ExecutorOptions
    from harmbench.execution.schedule.run_options import RunOptions


class Memory(click.ParamType[int]):
    """An amount of memory, such as `800M` or `12G`, in MiB."""

    name = "memory"
    _units: ClassVar = {"": 1, "M": 1, "G": 1024, "T": 1024 * 1024}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return MiB."""
        match = re.fullmatch(r"(\d+)\s*([MGT]?)(i?B)?", str(value).strip(), re.IGNORECASE)
        if match is None or int(match[1]) == 0:
            self.fail(f"'{value}' is not an amount of memory such as 800M or 12G", param, ctx)
        return int(match[1]) * self._units[match[2].upper()]


@dataclass(frozen=True, kw_only=True)
class ExecutorChoice:
    """The options of how cells are computed, as given on the command line."""

    device: str
    executor: str
    workers: int | None
    threads: int | None
    max_memory: int | None
    deterministic: bool
    partition: str | None
    minutes: int
    memory: int | None
    gpus: int
    cpus: int
    cells_per_job: int

    def run_options(self, request: Request, plugins: tuple[Path, ...]) -> RunOptions:
        """Return the options that every process needs."""
        from harmbench.execution.schedule.run_options import RunOptions

        return RunOptions(
            request=request,
            plugins=tuple(path.resolve() for path in plugins),
            device=self.device,
            threads=self.threads,
            deterministic=self.deterministic,
            max_memory=self.max_memory,
        )

    def executor_options(self) -> ExecutorOptions:
        """Return the options of the executor."""
        from harmbench.execution.schedule.executors.options import ExecutorOptions
        from harmbench.execution.schedule.executors.submitted import Resources

        resources = Resources(
            partition=self.partition,
            minutes=self.minutes,
            memory=self.memory,
            cpus=self.cpus,
            gpus=self.gpus,
            cells_per_job=self.cells_per_job,
        )
        return ExecutorOptions(name=self.executor, workers=self.workers, resources=resources)


# A command receives `executor`, an `ExecutorChoice`.
executor_options = collected(
    "executor",
    ExecutorChoice,
    device_option,
    click.option(
        "--executor",
        type=click.Choice(["serial", "local", "slurm", "submitit"]),
        default="serial",
        show_default=True,
        help="serial: in this process. local: one process per GPU, or several that share the CPU. "
        "slurm: jobs of a cluster (pip install 'harmbench[slurm]'). submitit: the same jobs as "
        "local processes, for tests.",
    ),
    click.option(
        "--workers",
        type=click.IntRange(min=1),
        metavar="N",
        help="Number of local processes. Default: one per GPU, or per core up to four.",
    ),
    click.option(
        "--threads",
        type=click.IntRange(min=1),
        metavar="N",
        help="CPU threads per process. Default: the cores, divided among the processes.",
    ),
    click.option(
        "--max-memory",
        type=Memory(),
        metavar="SIZE",
        help="Device memory per process, such as 12G; larger batches are split.",
    ),
    click.option(
        "--deterministic",
        is_flag=True,
        help="Use only deterministic algorithms; a cell that needs others fails.",
    ),
    click.option("--partition", metavar="NAME", help="Partition of slurm jobs."),
    click.option(
        "--time",
        "minutes",
        type=click.IntRange(min=1),
        default=1440,
        show_default=True,
        metavar="MINUTES",
        help="Time limit of a slurm job; a fit that exceeds it resumes in the next job.",
    ),
    click.option("--memory", type=Memory(), metavar="SIZE", help="Memory of a slurm job."),
    click.option(
        "--gpus",
        type=click.IntRange(min=0),
        default=1,
        show_default=True,
        metavar="N",
        help="GPUs of a slurm job that fits or applies a fit.",
    ),
    click.option(
        "--cpus",
        type=click.IntRange(min=1),
        default=4,
        show_default=True,
        metavar="N",
        help="CPU cores of a slurm job.",
    ),
    click.option(
        "--cells-per-job",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        metavar="N",
        help="Cells of one seed, or fits without a network, that a slurm job computes, one after "
        "the other. More for many short cells, since a job takes seconds to start; --time is for "
        "all of them.",
    ),
)
