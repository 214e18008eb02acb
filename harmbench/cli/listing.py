"""`harmbench list`: list methods, tasks, cohorts, metrics or figures."""

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
from harmbench.data.cohort_request import CohortRequest
from harmbench.plugins import KINDS

_EXTRA = {
    "methods": ("needs", "control"),
    "metrics": ("better", "unit", "purpose"),
    "figures": ("method",),
}
_BETTER = {"True": "higher", "False": "lower"}


@click.command("list")
@click.argument("category", type=click.Choice(KINDS))
@cohort_option
@recipe_option
@plugin_option
def listing(category: str, cohort: str, recipe: Path | None, plugin: tuple[Path, ...]) -> None:
    """List methods, tasks, cohorts, metrics or figures, one per line.

    \b
    harmbench list methods
    harmbench list tasks --cohort bids:/data/study --recipe study.toml

    Tasks depend on the cohort: give --cohort and --recipe to list those of your data.
    """  # noqa: D301
    from rich import box
    from rich.console import Console
    from rich.table import Table

    registry = discover(plugin)
    sources = source_names(registry, CohortRequest(cohort, recipe)) if category == "tasks" else ()
    table = Table(box=box.SIMPLE_HEAD)
    extra = _EXTRA.get(category, ())
    for heading in ("name", *extra, "summary", "plugin"):
        table.add_column(heading, no_wrap=heading == "name", overflow="fold")
    for name, entry in sorted(registry.entries(category, sources).items()):
        attributes = entry.attributes()
        arguments = ", ".join(f"{key} {value}" for key, value in entry.lazy.kwargs.items())
        summary = attributes["summary"] + (f" ({arguments})" if arguments else "")
        attributes["better"] = _BETTER.get(attributes["higher_is_better"], "")
        table.add_row(name, *(attributes[field] for field in extra), summary, entry.plugin.name)
    Console().print(table)
