"""`harmbench export`: all scores as one tidy file."""

from __future__ import annotations

from pathlib import Path

import click

from harmbench.cli.options import discover, plugin_option
from harmbench.errors import UserError


@click.command()
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="File to write: .parquet or .csv.",
)
@click.option(
    "--by",
    default="slice",
    show_default=True,
    type=click.Choice(["slice", "subject"]),
    help="Write a row for each slice, or only each subject's mean.",
)
@plugin_option
def export(output: Path, by: str, plugin: tuple[Path, ...]) -> None:
    """Write all recorded scores as one tidy table.

    \b
    harmbench export -o scores.parquet
    harmbench export -o scores.csv --by subject

    One row for every run, subject, scan, slice and metric. A data dictionary next to it (JSON)
    has the meaning, type and unit of every column and metric, and lists the runs without
    scores. For runs that were computed elsewhere only each subject's mean is written.
    """  # noqa: D301
    registry = discover(plugin)
    from harmbench.leaderboard.export import export as write
    from harmbench.leaderboard.measure import measures
    from harmbench.leaderboard.registered import declarations
    from harmbench.tracking import reader
    from harmbench.util.home import home

    runs = reader.runs(home())
    if runs.empty:
        raise UserError("nothing is recorded yet; see `harmbench run --help`")
    declared = declarations(registry)
    metrics = measures(runs, declared)
    summaries = {name: texts["summary"] for name, texts in declared.items()}
    cells = home() / "cells"
    done = write(runs, metrics, summaries, cells, output, slices=by == "slice")
    parts = [f"{done.rows} rows of {done.complete + done.subjects_only} runs"]
    if done.subjects_only and by == "slice":
        parts.append(f"{done.subjects_only} of them computed elsewhere, with subjects' means only")
    if done.left_out:
        parts.append(f"{done.left_out} without scores left out")
    click.echo(f"{done.path}: {', '.join(parts)}; {done.dictionary} explains the columns")
