"""`harmbench ablate`: the effect of each part of a method, next to the paper's numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from harmbench.cli.fit_options import (
    fit_cohort_option,
    fit_recipe_option,
    fit_request,
    target_option,
)
from harmbench.cli.options import (
    cohort_options,
    complete,
    device_option,
    discover,
    dry_run_option,
    folds_option,
    plugin_option,
    preset_option,
    seeds_option,
    set_option,
    split_option,
    task_option,
)

if TYPE_CHECKING:
    from rich.table import Table

    from harmbench.contracts.published import Published
    from harmbench.data.cohort_request import CohortRequest
    from harmbench.execution.plan.ablations import AblationRequest
    from harmbench.execution.plan.plan import Plan
    from harmbench.execution.schedule.run import RunSummary
    from harmbench.leaderboard.ablation import AblationTable


@click.command()
@click.argument("method", shell_complete=complete("methods"))
@task_option
@target_option
@cohort_options
@fit_cohort_option
@fit_recipe_option
@preset_option
@split_option("tuning")
@folds_option
@seeds_option
@device_option
@set_option
@click.option(
    "--metric",
    "names",
    multiple=True,
    metavar="NAME",
    shell_complete=complete("metrics"),
    help="Metric to show; may be repeated. Default: those of the paper's table.",
)
@click.option(
    "--format",
    "style",
    default="table",
    show_default=True,
    type=click.Choice(["table", "csv"]),
)
@dry_run_option
@plugin_option
def ablate(
    method: str,
    tasks: tuple[str, ...],
    targets: tuple[str, ...],
    cohort: CohortRequest,
    fit_cohort: str | None,
    fit_recipe: Path | None,
    preset: str,
    split: str,
    folds: int | None,
    seeds: tuple[int, ...],
    device: str,
    assignments: tuple[str, ...],
    names: tuple[str, ...],
    style: str,
    dry_run: bool,
    plugin: tuple[Path, ...],
) -> int:
    """Run METHOD and each of its ablations, and show the effect of each.

    \b
    harmbench ablate blindharmony                          the tasks of the paper's table
    harmbench ablate blindharmony --task 'sim-*'           all simulated shifts
    harmbench ablate blindharmony --set blindharmony.centred=true
    harmbench ablate blindharmony --split test             score the subjects of the leaderboard
    harmbench ablate blindharmony --dry-run                list the cells without running them

    If the method has its paper's table, that is shown next to our values. Below each value is
    the paired difference from the baseline, with the 95 % interval over subjects. The
    floor controls come last. Ablations that change inference only share one fit. Validation
    subjects are scored by default, so that no setting is chosen by test subjects. With
    --fit-cohort all subjects of --cohort are scored. The exit code is that of `run`.
    """  # noqa: D301
    registry = discover(plugin)
    registry.entry("methods", method)

    from harmbench.cli.run_cells import compute, print_forecast, summary_line
    from harmbench.execution.plan.ablations import ablation_request
    from harmbench.execution.plan.request import Request
    from harmbench.execution.plan.selection import select
    from harmbench.execution.schedule.run_options import RunOptions
    from harmbench.util.home import writable_home

    request = Request(
        methods=(method,),
        tasks=tasks,
        targets=targets,
        cohort=cohort,
        fit_cohort=fit_request(cohort, fit_cohort, fit_recipe),
        preset=preset,
        split=_split(split, fit_cohort),
        folds=folds or 0,
        seeds=seeds,
        assignments=assignments,
    )
    ablation = ablation_request(registry, request, names)
    home = writable_home()
    plugins = tuple(path.resolve() for path in plugin)
    options = RunOptions(request=ablation.request, plugins=plugins, device=device)
    selection = select(registry, ablation.request)
    if dry_run:
        print_forecast(registry, selection, home, options)
        return 0
    summary = compute(registry, selection, home, options)
    click.echo(summary_line(summary), err=True)
    _print(summary, ablation, style)
    return int(summary.failed)


def _split(split: str, fit_cohort: str | None) -> str:
    """Return the split to score; a fit cohort changes the default, as all subjects are tested."""
    source = click.get_current_context().get_parameter_source("split")
    return "test" if fit_cohort and source is ParameterSource.DEFAULT else split


def _print(summary: RunSummary, ablation: AblationRequest, style: str) -> None:
    from harmbench.leaderboard.ablation import tables

    metrics = {metric.name: metric for metric in summary.plan.metrics}
    shown = [metrics[name] for name in ablation.metrics]
    results = list(tables(summary.results, shown, ablation.published))
    (_print_csv if style == "csv" else _print_tables)(results, ablation, summary.plan)


def _print_csv(results: Sequence[AblationTable], ablation: AblationRequest, plan: Plan) -> None:
    import pandas as pd

    from harmbench.leaderboard.ablation import tidy
    from harmbench.leaderboard.text import as_csv

    table = pd.concat([tidy(table) for table in results], ignore_index=True).assign(
        cohort=plan.cohort.name,
        cohort_key=plan.cohort.key,
        kind=plan.cohort.kind,
        preset=ablation.request.preset,
        split=ablation.request.split_title,
        seeds=" ".join(map(str, ablation.request.seeds)),
        published_source="" if ablation.published is None else ablation.published.source,
    )
    click.echo(as_csv(table))


def _print_tables(results: Sequence[AblationTable], ablation: AblationRequest, plan: Plan) -> None:
    from rich.console import Console

    from harmbench.leaderboard.ablation_text import has_numbers, notes, task_blocks, title

    published = ablation.published
    console = Console(highlight=False, markup=False)
    for table in results:
        if not has_numbers(table):
            console.print(f"{table.metric.name}: no cell has a number", style="bold")
            continue
        console.print(title(table, plan, ablation.request), style="bold")
        for tasks in task_blocks(table, published, console.width):
            console.print(_table(table, tasks, published))
            console.print()
    for line in notes(results, published, plan):
        console.print(line)


def _table(table: AblationTable, tasks: Sequence[str], published: Published | None) -> Table:
    from rich import box
    from rich.table import Table

    from harmbench.leaderboard.ablation_text import columns, row_titles

    grid = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 0, 0, 1))
    grid.add_column(table.metric.name, no_wrap=True)
    by_column = [row_titles(table)]
    for column in columns(table, tasks, published):
        style = "dim" if column.published else ""
        grid.add_column(column.heading, justify="right", no_wrap=True, style=style)
        by_column.append(list(column.texts))
    for texts in zip(*by_column, strict=True):
        grid.add_row(*texts)
    return grid
