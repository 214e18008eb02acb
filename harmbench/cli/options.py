"""Options that several commands share."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from harmbench.cli.fit_options import (
    fit_cohort_option,
    fit_recipe_option,
    fit_request,
    single_target,
    target_option,
)
from harmbench.cohorts.address import parse_cohort
from harmbench.data.cohort_request import CohortRequest
from harmbench.data.prepare_options import AUTO, PrepareOptions
from harmbench.errors import HarmbenchError, UserError
from harmbench.plugins import Registry
from harmbench.util.home import home

if TYPE_CHECKING:
    from harmbench.execution.plan.request import Request
    from harmbench.external.submission_request import SubmissionRequest

F = TypeVar("F", bound=Callable[..., Any])


def complete(category: str) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Complete names of a category of plugins; on errors, complete nothing."""

    def names(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
        try:
            registry = discover(context.params.get("plugin") or ())
            sources: tuple[str, ...] = ()
            if category == "tasks":
                values = context.params
                cohort = CohortRequest(values.get("cohort") or "phantom", values.get("recipe"))
                sources = source_names(registry, cohort)
            return [
                name for name in registry.entries(category, sources) if name.startswith(incomplete)
            ]
        except HarmbenchError:
            return []

    return names


def source_names(registry: Registry, cohort: CohortRequest) -> tuple[str, ...]:
    """Return the names of a cohort's source domains; the cohort is not prepared."""
    name, argument = parse_cohort(cohort.name)
    entry = registry.entry("cohorts", name)
    declared = () if cohort.recipe else tuple(entry.lazy.sources)
    return declared or tuple(entry.build(argument, cohort.recipe).sources)


def discover(files: tuple[Path, ...]) -> Registry:
    """Find all plugins, and warn of broken ones on the error stream."""
    # Lines on the error stream appear above progress bars: rich redirects it.
    registry = Registry.discover(
        files, lambda line: click.echo(f"warning: {line}", err=True), home=home()
    )
    for plugin in registry.plugins:
        if plugin.errors:
            click.echo(
                f"warning: plugin '{plugin.name}' ({plugin.distribution}) is broken and partly "
                "left out; see `harmbench plugins`",
                err=True,
            )
    return registry


method_option = click.option(
    "-m",
    "--method",
    "methods",
    multiple=True,
    metavar="NAME",
    shell_complete=complete("methods"),
    help="Method to run; a name or a glob such as '*'; may be repeated.",
)
task_option = click.option(
    "-t",
    "--task",
    "tasks",
    multiple=True,
    metavar="NAME",
    shell_complete=complete("tasks"),
    help="Task to run; a name or a glob such as 'sim-*'; may be repeated.",
)
cohort_option = click.option(
    "--cohort",
    default="phantom",
    show_default=True,
    metavar="NAME[:ARGUMENT]",
    help="Source of the scans: phantom, phantom:SUBJECTS, oasis3:PATH, bids:PATH or FILE.csv.",
)
recipe_option = click.option(
    "--recipe",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="TOML file that assigns scans of a BIDS data set to domains.",
)
_normalize_option = click.option(
    "--normalize",
    default=None,
    metavar="NAME",
    help="Normalisation of intensities to [0, 1]: minmax (of each slice, as in the paper; the "
    "default of --preset paper), percentile (of the volume; the default otherwise), zscore, "
    "whitestripe or nyul.",
)
_brain_extraction_option = click.option(
    "--brain-extraction",
    default=AUTO,
    show_default=True,
    metavar="NAME",
    help="Tool for scans that have a skull and no mask: mri_synthstrip, hd-bet, deepbet (part of "
    "harmbench), auto (the first of these that is installed) or none.",
)
_no_brain_mask_option = click.option(
    "--no-brain-mask",
    is_flag=True,
    help="Skip brain extraction; mask the whole head.",
)
_n4_option = click.option(
    "--n4",
    is_flag=True,
    help="Correct the bias field of each scan with N4.",
)
_split_file_option = click.option(
    "--split-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="CSV or TSV file with columns subject and split (train, validation or test) or fold, "
    "instead of the cohort's own split.",
)


def collected(name: str, build: Callable[..., Any], *options: Callable[[F], F]) -> Callable[[F], F]:
    """Add options to a command, which receives them as one object.

    Parameters
    ----------
    name
        Name of the command's parameter.
    build
        Makes the object; its parameters are the names of the options.
    options
        The options, in the order of `--help`; some may be collected ones.
    """
    fields = tuple(inspect.signature(build).parameters)

    def decorate(command: F) -> F:
        @functools.wraps(command)
        def collecting(*arguments: Any, **values: Any) -> Any:
            values[name] = build(**{field: values.pop(field) for field in fields})
            return command(*arguments, **values)

        decorated = cast("F", collecting)
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate


def _cohort_request(
    *,
    cohort: str,
    recipe: Path | None,
    normalize: str | None,
    brain_extraction: str,
    no_brain_mask: bool,
    n4: bool,
    split_file: Path | None,
) -> CohortRequest:
    options = PrepareOptions(brain_extraction, heads=no_brain_mask, n4=n4)
    return CohortRequest(cohort, recipe, normalize, options, split_file)


# The cohort and how it is prepared; a command receives `cohort`, a `CohortRequest`.
cohort_options = collected(
    "cohort",
    _cohort_request,
    cohort_option,
    recipe_option,
    _normalize_option,
    _brain_extraction_option,
    _no_brain_mask_option,
    _n4_option,
    _split_file_option,
)


plugin_option = click.option(
    "--plugin",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    is_eager=True,
    help="Python file to load as a plugin; may be repeated.",
)
preset_option = click.option(
    "--preset",
    default="quick",
    show_default=True,
    metavar="quick|paper",
    help="Grid and settings: quick suits two CPU cores, paper is as published.",
)


def split_option(default: str) -> Callable[[F], F]:
    """Return the option that chooses which subjects are scored."""
    return click.option(
        "--split",
        type=click.Choice(["test", "tuning"]),
        default=default,
        show_default=True,
        help="Subjects to score: tuning scores validation subjects and leaves test subjects out.",
    )


folds_option = click.option(
    "--folds",
    type=click.IntRange(min=2),
    metavar="K",
    help="Cross-validation with K folds: every subject is scored once, by a fit on the subjects "
    "of the other folds.",
)
seeds_option = click.option(
    "--seed",
    "seeds",
    type=click.IntRange(min=0),
    multiple=True,
    default=(0,),
    show_default=True,
    help="Base seed; may be repeated.",
    callback=lambda context, parameter, seeds: tuple(dict.fromkeys(seeds)),
)
device_option = click.option(
    "--device",
    default="auto",
    show_default=True,
    metavar="DEVICE",
    help="auto, cpu, cuda, cuda:N or mps. On mps, which has no float64, blindharmony, blindcurve "
    "and histogram fail.",
)
set_option = click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="METHOD.FIELD=VALUE",
    help="Change a setting, such as blindharmony.alpha=0; may be repeated.",
)
dry_run_option = click.option(
    "--dry-run",
    is_flag=True,
    help="Print what would run, and run nothing.",
)


seed_option = click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Base seed."
)


@dataclass(frozen=True, kw_only=True)
class TaskChoice:
    """The options that select tasks, and the scans that they test on."""

    tasks: tuple[str, ...]
    targets: tuple[str, ...]
    cohort: CohortRequest
    fit_cohort: str | None
    fit_recipe: Path | None
    preset: str
    split: str
    folds: int | None
    seed: int

    def request(self, submission: SubmissionRequest | None = None) -> Request:
        """Return the request for the tasks, without methods.

        Raises
        ------
        UserError
            If no task is selected, or several targets.
        """
        from harmbench.execution.plan.request import Request

        if not self.tasks:
            raise UserError("missing --task (see `harmbench list tasks`)")
        return Request(
            methods=(),
            tasks=self.tasks,
            targets=single_target(self.targets),
            cohort=self.cohort,
            fit_cohort=fit_request(self.cohort, self.fit_cohort, self.fit_recipe),
            preset=self.preset,
            split=self.split,
            folds=self.folds or 0,
            seeds=(self.seed,),
            submission=submission,
        )


# The tasks of commands without methods; a command receives them as `choice`, a `TaskChoice`.
task_options = collected(
    "choice",
    TaskChoice,
    task_option,
    target_option,
    cohort_options,
    fit_cohort_option,
    fit_recipe_option,
    preset_option,
    split_option("test"),
    folds_option,
    seed_option,
)


@dataclass(frozen=True, kw_only=True)
class CellChoice:
    """The options that select one cell: method, task, preset, seed and settings."""

    method: str | None
    task: str | None
    preset: str
    seed: int
    assignments: tuple[str, ...]

    def request(self, cohort: CohortRequest) -> Request:
        """Return the request for the cell; a method or task that is None is left out."""
        from harmbench.execution.plan.request import Request

        return Request(
            methods=() if self.method is None else (self.method,),
            tasks=() if self.task is None else (self.task,),
            cohort=cohort,
            preset=self.preset,
            seeds=(self.seed,),
            assignments=self.assignments,
        )


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
