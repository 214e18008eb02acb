"""Options that several commands share."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

import click

from harmbench.cohorts.address import parse_cohort
from harmbench.data.prepare_options import AUTO, PrepareOptions
from harmbench.errors import HarmbenchError
from harmbench.plugins import Registry

F = TypeVar("F", bound=Callable[..., Any])


def complete(kind: str) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Complete names of a kind; a broken set-up completes nothing rather than complain."""

    def names(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
        try:
            registry = discover(context.params.get("plugin") or ())
            sources: tuple[str, ...] = ()
            if kind == "tasks":
                sources = source_names(
                    registry,
                    context.params.get("cohort") or "phantom",
                    context.params.get("recipe"),
                )
            return [name for name in registry.entries(kind, sources) if name.startswith(incomplete)]
        except HarmbenchError:
            return []

    return names


def source_names(registry: Registry, cohort: str, recipe: Path | None) -> tuple[str, ...]:
    """Return the names of a cohort's source domains, without preparing it."""
    name, argument = parse_cohort(cohort)
    return tuple(registry.entry("cohorts", name).build(argument, recipe).sources)


def discover(files: tuple[Path, ...]) -> Registry:
    """Find all plugins, and say on the error stream which are broken."""
    registry = Registry.discover(files)
    registry.on_error = lambda line: click.echo(f"warning: {line}", err=True)
    for plugin in registry.plugins:
        if plugin.errors:
            click.echo(
                f"warning: plugin '{plugin.name}' ({plugin.distribution}) is broken, and what "
                "is broken of it left out; see `harmbench plugins`",
                err=True,
            )
    return registry


method_option = click.option(
    "-m", "--method", "methods", multiple=True, metavar="NAME", shell_complete=complete("methods"),
    help="Method to run; may be repeated, and may be a glob such as '*'.",
)  # fmt: skip
task_option = click.option(
    "-t", "--task", "tasks", multiple=True, metavar="NAME", shell_complete=complete("tasks"),
    help="Task to run; may be repeated, and may be a glob such as 'sim-*'.",
)  # fmt: skip
cohort_option = click.option(
    "--cohort", default="phantom", show_default=True, metavar="NAME[:ARGUMENT]",
    help="Where scans come from: phantom, phantom:PEOPLE, oasis3:PATH, bids:PATH or FILE.csv.",
)  # fmt: skip
recipe_option = click.option(
    "--recipe", type=click.Path(path_type=Path), metavar="FILE",
    help="TOML file that says which scans of a BIDS data set make up which domain.",
)  # fmt: skip
normalize_option = click.option(
    "--normalize", default="minmax", show_default=True, metavar="NAME",
    help="How intensities become [0, 1]: minmax (of a slice, as in the paper), percentile, "
    "zscore, whitestripe or nyul.",
)  # fmt: skip
_brain_extraction_option = click.option(
    "--brain-extraction", default=AUTO, show_default=True, metavar="NAME",
    help="Tool that cuts out the brains of scans with neither a mask nor a bare brain: "
    "mri_synthstrip, hd-bet, auto for the one that is installed, or none.",
)  # fmt: skip
_no_brain_mask_option = click.option(
    "--no-brain-mask", is_flag=True, help="Keep heads: masks are of all that is not air.",
)  # fmt: skip
_n4_option = click.option(
    "--n4", is_flag=True, help="Correct the bias field of scans by N4.",
)  # fmt: skip


def collected(name: str, build: Callable[..., Any], *options: Callable[[F], F]) -> Callable[[F], F]:
    """Add options to a command, which receives them as one object.

    Parameters
    ----------
    name
        Name of the command's parameter.
    build
        Makes the object; its parameters are the names of the options.
    options
        The options, in the order of `--help`.
    """
    fields = tuple(inspect.signature(build).parameters)

    def decorate(command: F) -> F:
        @functools.wraps(command)
        def collecting(*arguments: Any, **values: Any) -> Any:
            values[name] = build(**{field: values.pop(field) for field in fields})
            return command(*arguments, **values)

        for option in reversed(options):
            option(cast("F", collecting))
        return cast("F", collecting)

    return decorate


def _prepare_options(*, brain_extraction: str, no_brain_mask: bool, n4: bool) -> PrepareOptions:
    return PrepareOptions(brain_extraction, heads=no_brain_mask, n4=n4)


def prepared_by(options: Mapping[str, Any]) -> PrepareOptions:
    """Return the `PrepareOptions` given by the values of `preparing_options`."""
    return _prepare_options(
        **{name: options[name] for name in ("brain_extraction", "no_brain_mask", "n4")}
    )


# How volumes are prepared; a command receives `prepare_options`.
preparing_options = collected(
    "prepare_options", _prepare_options, _brain_extraction_option, _no_brain_mask_option, _n4_option
)


plugin_option = click.option(
    "--plugin", type=click.Path(path_type=Path), multiple=True, metavar="FILE", is_eager=True,
    help="Python file to load as a plugin; may be repeated.",
)  # fmt: skip
preset_option = click.option(
    "--preset", default="quick", show_default=True, metavar="quick|paper",
    help="Grid and settings: quick for two CPU cores, paper as published.",
)  # fmt: skip
seeds_option = click.option(
    "--seed", "seeds", type=click.IntRange(min=0), multiple=True, default=(0,),
    show_default=True, help="Base seed; may be repeated.",
    callback=lambda context, parameter, seeds: tuple(dict.fromkeys(seeds)),
)  # fmt: skip
device_option = click.option(
    "--device", default="auto", show_default=True, metavar="DEVICE",
    help="auto, cpu, cuda, cuda:N or mps.",
)  # fmt: skip
set_option = click.option(
    "--set", "assignments", multiple=True, metavar="METHOD.FIELD=VALUE",
    help="Change a setting, such as blindharmony.alpha=0; may be repeated.",
)  # fmt: skip
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Print what would be run, and run nothing.",
)  # fmt: skip


seed_option = click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Base seed."
)


@dataclass(frozen=True, kw_only=True)
class CellChoice:
    """The options that select one cell: method, task, preset, seed and settings."""

    method: str | None
    task: str | None
    preset: str
    seed: int
    assignments: tuple[str, ...]


def cell_options(*, method_help: str, task_help: str) -> Callable[[F], F]:
    """Add the options of one cell; a command receives them as `choice`, a `CellChoice`."""
    return collected(
        "choice",
        CellChoice,
        click.option(
            "-m",
            "--method",
            metavar="NAME",
            shell_complete=complete("methods"),
            help=method_help,
        ),
        click.option(
            "-t", "--task", metavar="NAME", shell_complete=complete("tasks"), help=task_help
        ),
        preset_option,
        seed_option,
        set_option,
    )


class Memory(click.ParamType[int]):
    """An amount of memory, such as `800M` or `12G`, in MiB."""

    name = "memory"
    _units: ClassVar = {"": 1, "M": 1, "G": 1024, "T": 1024 * 1024}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return MiB."""
        found = re.fullmatch(r"(\d+)\s*([MGT]?)(i?B)?", str(value).strip(), re.IGNORECASE)
        if found is None or int(found[1]) == 0:
            self.fail(f"'{value}' is no amount of memory such as 800M or 12G", param, ctx)
        return int(found[1]) * self._units[found[2].upper()]


def executor_options(command: F) -> F:
    """Add the options that say how cells are computed."""
    for option in reversed(_EXECUTOR_OPTIONS):
        command = option(command)
    return command


_EXECUTOR_OPTIONS = (
    click.option(
        "--executor", type=click.Choice(["serial", "local", "slurm", "submitit"]),
        default="serial", show_default=True,
        help="serial: here, one after the other. local: a process for each GPU, or several that "
        "share the CPU. slurm: jobs of a cluster (pip install 'harmbench[slurm]'). submitit: "
        "the same jobs as processes of this machine, to try them.",
    ),
    click.option(
        "--workers", type=click.IntRange(min=1), metavar="N",
        help="Processes of the executor local; by default one for each GPU, or core up to four.",
    ),
    click.option(
        "--threads", type=click.IntRange(min=1), metavar="N",
        help="CPU threads of each process; by default the cores divided among the processes.",
    ),
    click.option(
        "--max-memory", type=Memory(), metavar="SIZE",
        help="Most memory of the device for each process, such as 12G; batches for which it "
        "does not suffice go through in parts.",
    ),
    click.option(
        "--deterministic", is_flag=True,
        help="Use deterministic algorithms alone; an operation that has none fails its cell.",
    ),
    click.option("--partition", metavar="NAME", help="Partition for the jobs of slurm."),
    click.option(
        "--time", "minutes", type=click.IntRange(min=1), default=1440, show_default=True,
        metavar="MINUTES", help="Most minutes of a job of slurm; a fit that is cut off goes on "
        "from its checkpoint in the next.",
    ),
    click.option("--memory", type=Memory(), metavar="SIZE", help="Memory of a job of slurm."),
    click.option("--gpus", type=click.IntRange(min=0), default=1, show_default=True, metavar="N",
                 help="GPUs of a job of slurm that fits or applies a fit."),
    click.option("--cpus", type=click.IntRange(min=1), default=4, show_default=True, metavar="N",
                 help="Cores of a job of slurm."),
)  # fmt: skip
