"""`harmbench list`: list methods, tasks, cohorts, metrics or figures."""

from __future__ import annotations

from pathlib import Path

import click

from harmbench.cli.fit_options import target_option
from harmbench.cli.options import (
    cohort_option,
    discover,
    plugin_option,
    recipe_option,
    source_names,
)
from harmbench.cohorts.address import parse_cohort
from harmbench.contracts.control_roles import BUILT_IN
from harmbench.data.cohort_request import CohortRequest
from harmbench.errors import UserError
from harmbench.leaderboard.bibliography import short
from harmbench.plugins import KINDS, Entry, Registry

_EXTRA = {
    "methods": ("needs", "covariates", "control", "reference"),
    "metrics": ("better", "unit", "purpose"),
    "figures": ("method",),
}
# Shown only if a method has any.
_OFTEN_EMPTY = ("covariates", "reference")
# Narrower terminals show no references: the summaries would have one word a line.
_WIDE = 110
_BETTER = {"True": "higher", "False": "lower"}


@click.command("list")
@click.argument("category", type=click.Choice(KINDS))
@cohort_option
@recipe_option
@target_option
@plugin_option
def listing(
    category: str,
    cohort: str,
    recipe: Path | None,
    targets: tuple[str, ...],
    plugin: tuple[Path, ...],
) -> None:
    """List methods, tasks, cohorts, metrics or figures, one per line.

    \b
    harmbench list methods
    harmbench list tasks --cohort bids:/data/study --recipe study.toml

    The plugin is shown if any is not built in, and the references of methods in terminals of 110
    columns. Tasks depend on the cohort: give --cohort and --recipe to list those of your data, and
    --target to list those with another target domain.
    """  # noqa: D301
    from rich import box
    from rich.console import Console
    from rich.table import Table

    registry = discover(plugin)
    console = Console()
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    if category == "tasks":
        entries = _tasks(registry, cohort, recipe, targets)
    elif targets:
        raise UserError(f"--target chooses tasks, not {category}: leave out --target")
    else:
        entries = registry.entries(category)
    shown = {name: entry.attributes() for name, entry in entries.items()}
    extra = [
        field
        for field in _EXTRA.get(category, ())
        if field not in _OFTEN_EMPTY or any(attributes[field] for attributes in shown.values())
        if field != "reference" or console.width >= _WIDE
    ]
    # Where everything is built in, the summaries need the space.
    plugins = any(entry.plugin.distribution != BUILT_IN for entry in entries.values())
    for heading in ("name", *extra, "summary", *(("plugin",) if plugins else ())):
        table.add_column(heading, no_wrap=heading in ("name", "reference"), overflow="fold")
    for name, entry in sorted(entries.items()):
        attributes = shown[name]
        arguments = ", ".join(f"{key} {value}" for key, value in entry.lazy.kwargs.items())
        summary = attributes["summary"] + (f" ({arguments})" if arguments else "")
        attributes["reference"] = short(attributes["reference"])
        attributes["better"] = _BETTER.get(attributes["higher_is_better"], "")
        texts = [name, *(attributes[field] for field in extra), summary]
        table.add_row(*texts, *((entry.plugin.name,) if plugins else ()))
    console.print(table)


def _tasks(
    registry: Registry, cohort: str, recipe: Path | None, targets: tuple[str, ...]
) -> dict[str, Entry]:
    """Return the tasks of a cohort by label; the cohort is not prepared."""
    if not targets:
        return registry.entries("tasks", source_names(registry, CohortRequest(cohort, recipe)))
    from harmbench.execution.plan.targets import requested_targets, targeted_tasks

    name, argument = parse_cohort(cohort)
    source = registry.entry("cohorts", name).build(argument, recipe)
    tasks = targeted_tasks(registry, source, requested_targets(source, targets))
    return {label: task.entry for label, task in tasks.items()}
