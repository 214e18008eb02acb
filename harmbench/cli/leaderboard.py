"""`harmbench leaderboard`: methods by tasks, from the recorded runs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harmbench.cli.options import discover, plugin_option
from harmbench.errors import UserError
from harmbench.plugins import matching

if TYPE_CHECKING:
    from harmbench.leaderboard.text import Emphasis


@click.command()
@click.option(
    "--metric",
    "names",
    multiple=True,
    metavar="NAME",
    help="Metric to show; may be repeated. Default: the headline metrics of the tasks.",
)
@click.option(
    "-t",
    "--task",
    "tasks",
    multiple=True,
    metavar="NAME",
    help="Task to show; may be repeated, and may be a glob.",
)
@click.option("--cohort", metavar="NAME", help="Show only this cohort; may be a glob.")
@click.option(
    "--format",
    "style",
    default="table",
    show_default=True,
    type=click.Choice(["table", "csv", "json", "markdown"]),
)
@plugin_option
def leaderboard(
    names: tuple[str, ...],
    tasks: tuple[str, ...],
    cohort: str | None,
    style: str,
    plugin: tuple[Path, ...],
) -> None:
    """Compare methods on tasks, from the runs that are recorded in MLflow.

    Values are means over subjects, with the 95 % bootstrap interval over subjects. Methods
    without a significant difference to the best (Wilcoxon's signed-rank test) share its tier,
    (1). The rank is the mean over tasks, and the score is 0 for the floor and 1 for the
    reference line; a task without a number counts as the last rank and as 0. Controls are
    marked. Cohorts, presets, normalisations and test data never share a table. Missing numbers
    are blank, with the reason below the table.
    """
    registry = discover(plugin)
    import pandas as pd

    from harmbench.leaderboard.published import references
    from harmbench.leaderboard.registered import extra_columns, metrics_to_show, on_cohort, units
    from harmbench.leaderboard.table import boards, measures
    from harmbench.leaderboard.text import as_csv, as_json, board_as_markdown, board_as_text
    from harmbench.leaderboard.tidy import tidy
    from harmbench.tracking import reader
    from harmbench.util.home import home

    store = reader.read(home())
    shown = metrics_to_show(store.metrics, store.headlines, names)
    # Plugins compute columns from the whole table; without them only these metrics are read.
    hooked = registry.manager.hook.leaderboard_columns.get_hookimpls()
    runs = store.runs(None if hooked else shown)
    extra = extra_columns(registry, runs)
    runs = on_cohort(runs, cohort)
    chosen = matching("recorded task", tasks, sorted(runs["task"].unique())) if tasks else None
    by_name = measures(runs, units(registry))
    all_boards = list(boards(runs, [by_name[name] for name in shown], tasks=chosen))
    if not all_boards:
        raise UserError(f"no recorded run has a number for {', '.join(shown)}")
    if style in ("csv", "json"):
        table = pd.concat([tidy(board) for board in all_boards], ignore_index=True)
        click.echo(as_csv(table) if style == "csv" else as_json(table))
        return
    papers = [references(registry, board) for board in all_boards]
    pairs = zip(all_boards, papers, strict=True)
    if style == "markdown":
        click.echo("\n\n".join(board_as_markdown(board, extra, found) for board, found in pairs))
        return
    width = shutil.get_terminal_size().columns
    for board, found in pairs:
        click.echo(board_as_text(board, extra, found, width, _emphasize))


def _emphasize(text: str, emphasis: Emphasis) -> str:
    if emphasis == "title":
        return click.style(text, bold=True)
    if emphasis == "best":
        return click.style(text, fg="green", bold=True)
    return click.style(text, dim=True)
