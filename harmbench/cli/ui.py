"""`harmbench ui`: MLflow's own pages, opened on harmbench's experiment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harmbench.cli.options import discover, plugin_option

if TYPE_CHECKING:
    from harmbench.tracking.ui import ExperimentPages


@click.command()
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; list other host names in $MLFLOW_SERVER_ALLOWED_HOSTS.",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=5000,
    show_default=True,
    help="Port to listen on.",
)
@click.option(
    "--browser/--no-browser", default=True, show_default=True, help="Open the page in a browser."
)
@plugin_option
def ui(host: str, port: int, browser: bool, plugin: tuple[Path, ...]) -> int:
    """Open MLflow's own pages on the experiment, with the leaderboard as its description.

    Serves the store in $HARMBENCH_HOME until Ctrl-C. If $MLFLOW_TRACKING_URI names a server,
    its page is opened instead.
    """
    registry = discover(plugin)
    from harmbench.leaderboard.registered import declarations
    from harmbench.tracking.ui import describe, serve, server_address
    from harmbench.util.home import home

    pages = describe(home(), declarations(registry))
    click.echo(f"description: the leaderboard of {pages.described}")
    address = server_address(home())
    if address is not None:
        _open(pages.page(address), browser=browser)
        _name_comparison(pages, address)
        return 0
    address = f"http://{host}:{port}"
    with serve(home(), host, port) as server:
        _name_comparison(pages, address)
        _open(pages.page(address), browser=browser)
        click.echo("press Ctrl-C to stop")
        try:
            return server.wait()
        except KeyboardInterrupt:
            return 0


def _name_comparison(pages: ExperimentPages, address: str) -> None:
    if pages.runs:
        click.echo(f"compare: {pages.compare(address)}")
    else:
        click.echo("compare: none of these results is in MLflow")


def _open(page: str, *, browser: bool) -> None:
    click.echo(f"open: {page}")
    if browser:
        import webbrowser

        webbrowser.open(page)
