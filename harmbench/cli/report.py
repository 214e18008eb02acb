"""`harmbench report`: static pages of all recorded runs, readable without a network."""

from __future__ import annotations

from pathlib import Path

import click

from harmbench.cli.options import discover, plugin_option


@click.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("report"),
    show_default=True,
    metavar="FOLDER",
    help="Folder to write; an older report there is replaced.",
)
@plugin_option
def report(output: Path, plugin: tuple[Path, ...]) -> None:
    """Write a report: boards, plots, slices, costs, and the origin of every number.

    \b
    harmbench report -o report/
    xdg-open report/index.html

    The pages work from the file system, on a phone and without a network, so the folder can
    be copied to any machine.
    """  # noqa: D301
    registry = discover(plugin)
    from rich.console import Console

    from harmbench.cli.progress_bars import shown
    from harmbench.leaderboard.formatting import count
    from harmbench.leaderboard.registered import extra_columns
    from harmbench.report.report import write_report
    from harmbench.util.home import home

    with shown(Console(stderr=True)) as progress:
        written = write_report(
            output, home(), registry, progress, lambda runs: extra_columns(registry, runs)
        )
    click.echo(f"{count(written.pages, 'page')} written; open {written.index}")
