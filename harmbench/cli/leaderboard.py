"""`harmbench leaderboard`: methods by families and tasks, from the recorded results."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harmbench.cli.fit_options import shown_fit_cohort_option, shown_target_option
from harmbench.cli.options import discover, plugin_option
from harmbench.contracts.family import Family
from harmbench.errors import UserError
from harmbench.plugins import matching

if TYPE_CHECKING:
    from harmbench.leaderboard.groups import Group
    from harmbench.leaderboard.printed_table import Emphasis, PrintedTable
    from harmbench.leaderboard.text import Extra
    from harmbench.plugins import Registry


@click.command()
@click.option(
    "--metric",
    "names",
    multiple=True,
    metavar="NAME",
    help="Metric to show, without the ranking over families; may be repeated. Default: the "
    "ranking, and the headline metrics of the tasks.",
)
@click.option(
    "-t",
    "--task",
    "tasks",
    multiple=True,
    metavar="NAME",
    help="Task to show; may be repeated, and may be a glob.",
)
@shown_target_option
@click.option("--cohort", metavar="NAME", help="Show only this cohort; may be a glob.")
@shown_fit_cohort_option
@click.option(
    "--weights",
    multiple=True,
    metavar="FAMILY=NUMBER",
    help="Weight of a family's vote in the rank, such as scanners=2; may be repeated. Default: 1.",
)
@click.option("--variants", is_flag=True, help="Rank and test variants with changed settings, too.")
@click.option(
    "--margin",
    type=click.FloatRange(min=0, min_open=True),
    metavar="NUMBER",
    help="Name the pairs of methods that are equivalent within this margin, in the unit of the "
    "metric.",
)
@click.option("--pairs", is_flag=True, help="Show every pair of methods, with its p-value.")
@click.option(
    "--format",
    "style",
    default="table",
    show_default=True,
    type=click.Choice(["table", "csv", "json", "markdown", "latex"]),
)
@plugin_option
def leaderboard(
    names: tuple[str, ...],
    tasks: tuple[str, ...],
    targets: tuple[str, ...],
    cohort: str | None,
    fit_cohort: str | None,
    weights: tuple[str, ...],
    variants: bool,
    margin: float | None,
    pairs: bool,
    style: str,
    plugin: tuple[Path, ...],
) -> None:
    """Rank methods over families of tasks, and compare them on each task.

    \b
    harmbench leaderboard
    harmbench leaderboard --metric psnr --task 'domain*' --margin 0.5
    harmbench leaderboard --pairs --format csv
    harmbench leaderboard --metric psnr --format latex > table.tex

    The ranking comes first: one vote per family of tasks, each task by its headline metric. Then
    follows one board per metric. Values are means over subjects with 95 % intervals. Methods that
    share a letter do not differ significantly (sign-flip permutation of subjects, max-T over all
    pairs and families). Controls are marked and not ranked; variants with changed settings are
    ranked only with --variants. Cohorts, fit cohorts, presets, splits, normalisations and test data
    never share a table. Missing numbers are blank, with the reason below the table.
    """  # noqa: D301
    registry = discover(plugin)
    from harmbench.leaderboard.groups import grouped, headline_metrics
    from harmbench.leaderboard.latex import as_latex
    from harmbench.leaderboard.ranking_options import RankingOptions, parse_weights
    from harmbench.leaderboard.registered import (
        declarations,
        extra_columns,
        fitted_on,
        metrics_to_show,
        on_cohort,
        with_targets,
    )
    from harmbench.tracking import reader
    from harmbench.util.home import home

    store = reader.read(home())
    shown = metrics_to_show(store.metrics, store.headlines, names)
    # Plugins compute columns from the whole table; without them only these metrics are read.
    hooked = registry.manager.hook.leaderboard_columns.get_hookimpls()
    runs = store.runs(None if hooked else shown)
    extra = extra_columns(registry, runs)
    runs = with_targets(fitted_on(on_cohort(runs, cohort), fit_cohort), targets)
    chosen = matching("recorded task", tasks, sorted(runs["task"].unique())) if tasks else None
    families = sorted({*map(str, Family), *runs["family"]})
    options = RankingOptions(
        variants=variants, weights=parse_weights(weights, families), margin=margin
    )
    declared = declarations(registry)
    # Boards of metrics that are not shown take as long as the others.
    metrics = names or headline_metrics(runs, declared) or shown
    groups = list(grouped(runs, metrics, declared, metrics=metrics, tasks=chosen, options=options))
    if not any(group.shown(names) for group in groups):
        raise UserError(f"no recorded run has a number for {', '.join(shown)}")
    if style in ("csv", "json"):
        _print_tidy(groups, names, style, pairs=pairs)
        return
    width = shutil.get_terminal_size().columns
    for table in _tables(groups, names, extra, registry, pairs=pairs):
        if style == "latex":
            click.echo(as_latex(table) + "\n")
        elif style == "markdown":
            click.echo(table.as_markdown() + "\n")
        else:
            click.echo(table.as_text(width, _emphasize))


def _tables(
    groups: Sequence[Group], names: Sequence[str], extra: Extra, registry: Registry, *, pairs: bool
) -> list[PrintedTable]:
    """Return the ranking and the boards of every group, or the pairs of methods on them."""
    from harmbench.leaderboard.published import references
    from harmbench.leaderboard.text import board_table, pairs_table, standings_table

    tables = []
    for group in groups:
        if group.standings is not None and not names:
            if pairs:
                tables.append(pairs_table(group.standings))
            else:
                tables.append(standings_table(group.standings, extra))
        if pairs:
            tables += [pairs_table(board) for board in group.shown(names) if names]
        else:
            tables += [
                board_table(board, extra, references(registry, board))
                for board in group.shown(names)
            ]
    return tables


def _print_tidy(groups: Sequence[Group], names: Sequence[str], style: str, *, pairs: bool) -> None:
    """Print the numbers of all boards, or of all pairs of methods, as one table."""
    import pandas as pd

    from harmbench.leaderboard.text import as_csv, as_json
    from harmbench.leaderboard.tidy import tidy, tidy_pairs

    if pairs:
        parts = [
            tidy_pairs(data)
            for group in groups
            for data in (group.shown(names) if names else [group.standings])
            if data is not None
        ]
    else:
        parts = [tidy(board) for group in groups for board in group.shown(names)]
    table = pd.concat(parts, ignore_index=True)
    click.echo(as_json(table) if style == "json" else as_csv(table))


def _emphasize(text: str, emphasis: Emphasis) -> str:
    if emphasis == "title":
        return click.style(text, bold=True)
    if emphasis == "best":
        return click.style(text, fg="green", bold=True)
    return click.style(text, dim=True)
