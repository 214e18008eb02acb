"""`harmbench export`: all scores as one tidy file."""

from __future__ import annotations

from pathlib import Path

import click

from harmbench.cli.options import discover, plugin_option
from harmbench.errors import UserError


@click.command()
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), metavar="FILE",
    help="File to write: .parquet or .csv.",
)  # fmt: skip
@click.option(
    "--by", default="slice", show_default=True, type=click.Choice(["slice", "subject"]),
    help="Whether each slice has a row, or each subject's mean alone.",
)  # fmt: skip
@plugin_option
def export(output: Path, by: str, plugin: tuple[Path, ...]) -> None:
    """Write all scores that MLflow knows of as one tidy table.

    \b
    harmbench export -o scores.parquet
    harmbench export -o scores.csv --by subject

    One row for every run, subject, scan, slice and metric; beside it a data dictionary in
    JSON, with the meaning, type and unit of every column and metric, and with the runs that
    have no scores. Of runs that were computed elsewhere each subject's mean is written.
    """  # noqa: D301
    registry = discover(plugin)
    from harmbench.cli.leaderboard import units
    from harmbench.leaderboard.export import export as write
    from harmbench.leaderboard.table import measures
    from harmbench.tracking import reader as recorded
    from harmbench.util.home import home

    runs = recorded.runs()
    if runs.empty:
        raise UserError("nothing is recorded yet; see `harmbench run --help`")
    summaries = {
        name: entry.lazy.attributes().get("summary", "")
        for name, entry in registry.entries("metrics").items()
    }
    known = measures(runs, units(registry))
    done = write(runs, known, summaries, home() / "cells", output, slices=by == "slice")
    told = [f"{done.rows} rows of {done.whole + done.subjects_only} runs"]
    if done.subjects_only and by == "slice":
        told.append(f"{done.subjects_only} of them computed elsewhere, by subject alone")
    if done.left_out:
        told.append(f"{done.left_out} without scores left out")
    click.echo(f"{done.path}: {', '.join(told)}; columns are explained in {done.dictionary}")
