"""`harmbench compare`: two runs, subject by subject."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harmbench.cli.options import discover, plugin_option

if TYPE_CHECKING:
    from rich.table import Table

    from harmbench.leaderboard.paired import Difference


@click.command()
@click.argument("one", metavar="RUN")
@click.argument("other", metavar="RUN")
@click.option(
    "--metric",
    "names",
    multiple=True,
    metavar="NAME",
    help="Metric to show; may be repeated. Default: all.",
)
@click.option(
    "--format",
    "style",
    default="table",
    show_default=True,
    type=click.Choice(["table", "csv"]),
)
@click.option("--cohort", metavar="NAME", help="Use only runs on this cohort; may be a glob.")
@plugin_option
def compare(
    one: str,
    other: str,
    names: tuple[str, ...],
    style: str,
    cohort: str | None,
    plugin: tuple[Path, ...],
) -> None:
    """Compare two runs subject by subject, on their common subjects.

    \b
    harmbench compare blindharmony@domain3 histogram@domain3     all seeds
    harmbench compare 3f2a91c0 77b01d9e                          runs, by their ids

    RUN is the beginning of a run's id, or METHOD@TASK: on the cohort and preset that were run
    last, or on --cohort. The difference is the first minus the second, subject by subject, with
    its 95 % interval over subjects and the p-value of the sign-flip permutation test,
    Holm-adjusted over the headline metrics of the task. Other metrics are for description; their
    p-values are in brackets and not adjusted. The subjects with the largest influence on the
    difference are named. Runs on different test data cannot be compared.
    """  # noqa: D301
    registry = discover(plugin)
    from rich.console import Console

    from harmbench.leaderboard.measure import measures
    from harmbench.leaderboard.paired import compare as compare_sides
    from harmbench.leaderboard.paired import remarks, side, tidy
    from harmbench.leaderboard.registered import declarations, metrics_to_show, on_cohort
    from harmbench.leaderboard.text import as_csv
    from harmbench.tracking import reader
    from harmbench.util.home import home

    store = reader.read(home())
    metrics_to_show(store.metrics, store.headlines, names)
    runs = on_cohort(store.runs(), cohort)
    by_name = measures(runs, declarations(registry))
    sides = side(runs, one), side(runs, other)
    differences = compare_sides(*sides, by_name, names)
    if style == "csv":
        click.echo(as_csv(tidy(differences)))
        return
    console = Console(highlight=False, markup=False)
    console.print(f"A: {sides[0].title}\nB: {sides[1].title}", style="bold")
    table = _table(differences)
    # A narrow terminal breaks the lines, but never cuts a number.
    needed = console.measure(table, options=console.options.update(max_width=1000)).maximum
    console.width = max(console.width, needed)
    console.print(table)
    for line in remarks(differences):
        console.print(line)


def _table(differences: Sequence[Difference]) -> Table:
    from rich import box
    from rich.table import Table

    from harmbench.leaderboard.formatting import interval, number

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 0, 0, 1))
    table.add_column("metric", no_wrap=True)
    for heading in ("A", "B", "A - B", "95 % interval", "p", "subjects", "better"):
        table.add_column(heading, justify="right", no_wrap=True)
    for difference in differences:
        unit = f" ({difference.measure.unit})" if difference.measure.unit else ""
        table.add_row(
            difference.measure.name + unit,
            number(difference.one),
            number(difference.other),
            number(difference.difference.mean, signed=True),
            interval(difference.difference.low, difference.difference.high, signed=True),
            _p_value(difference),
            str(difference.difference.n),
            ("A" if difference.favours_one else "B") if difference.significant else "",
        )
    return table


def _p_value(difference: Difference) -> str:
    """Return the p-value, in brackets if it is not adjusted."""
    if math.isnan(difference.p):
        return ""
    return f"{difference.p:.2g}" if difference.headline else f"({difference.p:.2g})"
