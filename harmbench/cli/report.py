"""`harmbench report`: static pages of all that is recorded, to be read without a network."""

from __future__ import annotations

from pathlib import Path

import click

from harmbench.cli.options import discover, plugin_option


@click.command()
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=Path("report"), show_default=True,
    metavar="FOLDER", help="Where to write it; an older report there is replaced.",
)  # fmt: skip
@plugin_option
def report(output: Path, plugin: tuple[Path, ...]) -> None:
    """Write a report: boards, plots, slices, costs, and the origin of every number.

    \b
    harmbench report -o report/
    xdg-open report/index.html

    The pages work from the file system, on a phone and without a network: copy the folder
    to wherever it is to be read.
    """  # noqa: D301
    registry = discover(plugin)
    from rich.console import Console

    from harmbench.cli.leaderboard import extra_columns
    from harmbench.cli.progress_bars import shown
    from harmbench.report.report import write_report

    with shown(Console(stderr=True)) as progress:
        written = write_report(
            output, registry, progress, lambda runs: extra_columns(registry, runs)
        )
    pages = f"{written.pages} page{'s' * (written.pages != 1)}"
    click.echo(f"{pages} written; open {written.index}")
