"""`harmbench ui`: MLflow's own pages, on the right store and experiment, made ready to read."""

from __future__ import annotations

from pathlib import Path

import click

from harmbench.cli.options import discover, plugin_option


@click.command()
@click.option(
    "--host", default="127.0.0.1", show_default=True,
    help="Address to listen on; names that it is reached by go into $MLFLOW_SERVER_ALLOWED_HOSTS.",
)  # fmt: skip
@click.option(
    "--port", type=click.IntRange(1, 65535), default=5000, show_default=True,
    help="Port to listen on.",
)  # fmt: skip
@click.option(
    "--browser/--no-browser", default=True, show_default=True, help="Open the page in a browser.",
)  # fmt: skip
@click.option(
    "--models/--no-models", default=True, show_default=True,
    help="Register the best fit of each task in MLflow's model registry.",
)  # fmt: skip
@plugin_option
def ui(host: str, port: int, browser: bool, models: bool, plugin: tuple[Path, ...]) -> int:
    """Open MLflow's own pages on the experiment, with the leaderboard as its description.

    The store is the one in $HARMBENCH_HOME, served here until Ctrl-C, or the server that
    $MLFLOW_TRACKING_URI names, which is only made ready and opened.
    """
    registry = discover(plugin)
    from harmbench.cli.leaderboard import units
    from harmbench.tracking.ui import prepare, serve, server_address

    ready = prepare(units(registry), models=models)
    for line in ready.lines:
        click.echo(line)
    address = server_address()
    if address is not None:
        _open(ready.page(address), browser=browser)
        click.echo(f"compare: {ready.compare(address)}")
        return 0
    address = f"http://{host}:{port}"
    with serve(host, port) as server:
        click.echo(f"compare: {ready.compare(address)}")
        _open(ready.page(address), browser=browser)
        click.echo("Ctrl-C ends it")
        try:
            return server.wait()
        except KeyboardInterrupt:
            return 0


def _open(page: str, *, browser: bool) -> None:
    click.echo(f"open: {page}")
    if browser:
        import webbrowser

        webbrowser.open(page)
