"""`harmbench report`: static pages of all recorded runs, readable without a network."""

from __future__ import annotations

from pathlib import Path

import click

from harmbench.cli.options import discover, plugin_option
from harmbench.cli.wording import counted
from harmbench.errors import UserError


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
@click.option(
    "--site",
    "repository",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Show all bundles in FOLDER, such as a results repository, and no results of this home.",
)
@click.option(
    "--edition",
    metavar="NAME",
    help="With --site: show the frozen edition NAME, such as 2026-11; a new one is frozen.",
)
@plugin_option
def report(
    output: Path, repository: Path | None, edition: str | None, plugin: tuple[Path, ...]
) -> None:
    """Write a report: boards, plots, slices, costs, and the origin of every number.

    \b
    harmbench report -o report/
    xdg-open report/index.html
    harmbench report --site results-repo/ -o site/

    The pages work from the file system, on a phone and without a network, so the folder can
    be copied to any machine.
    """  # noqa: D301
    if edition is not None and repository is None:
        raise UserError("--edition needs --site FOLDER, the results repository")
    registry = discover(plugin)
    from rich.console import Console

    from harmbench.leaderboard.registered import extra_columns
    from harmbench.report.report import write_report
    from harmbench.report.site import site_of, write_site
    from harmbench.util.home import home
    from harmbench.util.progress_bars import shown

    with shown(Console(stderr=True)) as progress:
        if repository is None:
            written = write_report(
                output, home(), registry, progress, lambda runs: extra_columns(registry, runs)
            )
        else:
            site = site_of(repository, edition)
            if site.edition is not None and site.frozen_now:
                progress.log(
                    f"froze the edition {edition}: {counted(len(site.bundles), 'bundle')}, digest "
                    f"{site.edition.digest}; commit {repository}/editions/{edition}"
                )
            written = write_site(
                output, site, registry, progress, lambda runs: extra_columns(registry, runs)
            )
    click.echo(f"{counted(written.pages, 'page')} written; open {written.index}")
