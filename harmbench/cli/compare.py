"""`harmbench compare`: two runs, subject by subject."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harmbench.cli.options import discover, plugin_option
from harmbench.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from harmbench.leaderboard.paired import Difference


@click.command()
@click.argument("one", metavar="RUN")
@click.argument("other", metavar="RUN")
@click.option(
    "--metric", "names", multiple=True, metavar="NAME",
    help="Metric to show; may be repeated. Default: all.",
)  # fmt: skip
@click.option(
    "--format", "style", default="table", show_default=True, type=click.Choice(["table", "csv"]),
)  # fmt: skip
@click.option("--cohort", metavar="NAME", help="Runs on this cohort alone; may be a glob.")
@plugin_option
def compare(
    one: str,
    other: str,
    names: tuple[str, ...],
    style: str,
    cohort: str | None,
    plugin: tuple[Path, ...],
) -> None:
    """Show what two runs differ by, on the subjects that both have.

    \b
    harmbench compare blindharmony@domain3 histogram@domain3     all seeds
    harmbench compare 3f2a91c0 77b01d9e                          runs, by their MLflow ids

    RUN is the beginning of a run's id, or METHOD@TASK: of the cohort and preset that were
    run last, unless --cohort says which. The difference is the first minus the
    second, subject by subject, with its 95 % bootstrap interval over subjects and the p-value of
    Wilcoxon's signed-rank test, corrected over the metrics shown by Holm's method. Runs on
    different test data cannot be compared.
    """  # noqa: D301
    registry = discover(plugin)
    from harmbench.cli.leaderboard import on_cohort, units
    from harmbench.leaderboard.paired import compare as differences
    from harmbench.leaderboard.paired import side
    from harmbench.leaderboard.table import measures
    from harmbench.tracking import reader as recorded

    store = recorded.read()
    if not store.metrics:
        raise UserError("nothing is recorded yet; see `harmbench run --help`")
    for name in names:
        if name not in store.metrics:
            raise UserError.unknown("recorded metric", name, store.metrics)
    runs = on_cohort(store.runs(names or None), cohort)
    known = measures(runs, units(registry))
    sides = side(runs, one), side(runs, other)
    found = differences(*sides, [known[name] for name in names or known])
    if not found:
        raise UserError("the two have no metric in common that tells of subjects")
    if style == "csv":
        click.echo(str(_tidy(found).to_csv(index=False)).rstrip("\n"))
        return
    from rich.console import Console

    _print(Console(highlight=False, markup=False), sides[0].title, sides[1].title, found)


def _tidy(found: list[Difference]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "metric": each.measure.name,
                "unit": each.measure.unit,
                "higher_is_better": each.measure.higher_is_better,
                "one": each.one,
                "other": each.other,
                "difference": each.difference.mean,
                "low": each.difference.low,
                "high": each.difference.high,
                "p": each.p,
                "people": each.difference.n,
                "only_one": " ".join(each.only_one),
                "only_other": " ".join(each.only_other),
            }
            for each in found
        ]
    )


def _print(console: object, one: str, other: str, found: list[Difference]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from harmbench.cli.leaderboard import number
    from harmbench.statistics.hypothesis import LEVEL, smallest_p

    assert isinstance(console, Console)
    console.print(f"A: {one}\nB: {other}", style="bold")
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 0, 0, 1))
    table.add_column("metric", no_wrap=True)
    for heading in ("A", "B", "A - B", "95 % interval", "p", "people", "better"):
        table.add_column(heading, justify="right", no_wrap=True)
    for each in found:
        gap = each.difference
        bounds = "" if math.isnan(gap.low) else f"[{_signed(gap.low)}, {_signed(gap.high)}]"
        unit = f" ({each.measure.unit})" if each.measure.unit else ""
        table.add_row(
            each.measure.name + unit,
            number(each.one),
            number(each.other),
            _signed(gap.mean),
            bounds,
            "" if math.isnan(each.p) else f"{each.p:.2g}",
            str(gap.n),
            _better(each) if each.p <= LEVEL else "",
        )
    # Half a number says nothing: a terminal that is narrower breaks the lines.
    needed = console.measure(table, options=console.options.update(max_width=1000)).maximum
    console.width = max(console.width, needed)
    console.print(table)
    console.print(f"p: Wilcoxon's signed-rank test, corrected over {len(found)} metrics by Holm")
    most = max(each.difference.n for each in found)
    if smallest_p(most, len(found)) > LEVEL:
        console.print(
            f"{most} subjects cannot make a difference in {len(found)} metrics significant: the "
            f"smallest p possible is {smallest_p(most, len(found)):.2g}"
        )
    for side, only in (
        ("A", sorted({subject for each in found for subject in each.only_one})),
        ("B", sorted({subject for each in found for subject in each.only_other})),
    ):
        if only:
            console.print(f"subjects that {side} alone has, left out: {', '.join(only)}")


def _signed(value: float) -> str:
    from harmbench.cli.leaderboard import number

    return "" if math.isnan(value) else f"{'+' if value > 0 else ''}{number(value)}"


def _better(each: Difference) -> str:
    return "A" if (each.difference.mean > 0) == each.measure.higher_is_better else "B"
