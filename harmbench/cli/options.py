"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from harmbench.data.address import parse_cohort
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
