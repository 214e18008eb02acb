"""`harmbench list`: what there is to run."""

from __future__ import annotations

from pathlib import Path

import click

from harmbench.cli.options import (
    cohort_option,
    discover,
    plugin_option,
    recipe_option,
    source_names,
)
from harmbench.plugins import KINDS

_EXTRA = {"methods": ("needs", "control"), "metrics": ("unit",), "figures": ("method",)}


@click.command("list")
@click.argument("kind", type=click.Choice(KINDS))
@cohort_option
@recipe_option
@plugin_option
def listing(kind: str, cohort: str, recipe: Path | None, plugin: tuple[Path, ...]) -> None:
    """List methods, tasks, cohorts, metrics or figures, with a line on each.

    Tasks depend on the cohort: give --cohort and --recipe to see those of your data.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    registry = discover(plugin)
    sources = source_names(registry, cohort, recipe) if kind == "tasks" else ()
    table = Table(box=box.SIMPLE_HEAD)
    extra = _EXTRA.get(kind, ())
    for heading in ("name", *extra, "summary", "plugin"):
        table.add_column(heading, no_wrap=heading == "name", overflow="fold")
    for name, entry in sorted(registry.entries(kind, sources).items()):
        known = entry.lazy.attributes()
        given = ", ".join(f"{key} {value}" for key, value in entry.lazy.kwargs.items())
        summary = known.get("summary", "") + (f" ({given})" if given else "")
        table.add_row(name, *(known.get(field, "") for field in extra), summary, entry.plugin.name)
    Console().print(table)
