"""`harmbench data`: recipes for studies, their preparation, and the prepared scans."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harmbench.cli.export_inputs import export_inputs
from harmbench.cli.options import (
    cohort_options,
    discover,
    folds_option,
    plugin_option,
    preset_option,
)
from harmbench.cli.output_files import check_picture, written
from harmbench.data.scan_kind import kind_of_scans
from harmbench.errors import UserError
from harmbench.util.name_list import by_reason

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from harmbench.cohorts.bids.draft import ScannerGroup
    from harmbench.data.cohort import Cohort
    from harmbench.data.cohort_request import CohortRequest

_MOST_CHOICES = 10  # of one of several T1w files, shown one by one


@click.group()
def data() -> None:
    """Draft a recipe, prepare a study, and show the prepared scans.

    \b
    harmbench data recipe /data/study -o study.toml
    harmbench data prepare --cohort bids:/data/study --recipe study.toml
    harmbench data show --cohort bids:/data/study --recipe study.toml -o contact.png
    harmbench data show --cohort oasis3:/data/OASIS3
    harmbench data show --cohort scans.csv --normalize nyul
    harmbench data split --cohort scans.csv --folds 5 -o folds.csv
    harmbench data export-inputs inputs -t domain3
    """  # noqa: D301


data.add_command(export_inputs)


@data.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="TOML file to write; by default the draft is printed.",
)
def recipe(path: Path, output: Path | None) -> None:
    """Find the scanners of the BIDS folder PATH, and draft a recipe.

    The scanner with the most scans becomes the target. Where session labels name the scanner, as in
    studies of travelling subjects, the draft says how. The table of scanners goes to the
    error stream if the draft is printed, so that it can be sent into a file.
    """
    from harmbench.cohorts.bids.draft import (
        draft_recipe,
        draft_travelling,
        find_scanners,
        labelled_scanners,
    )
    from harmbench.cohorts.bids.label_pattern import scanner_labels_of
    from harmbench.cohorts.bids.layout import read_layout

    path = path.expanduser()
    if not path.is_dir():
        raise UserError(f"there is no folder {path}")
    if output is not None and output.exists():
        raise UserError(f"{output} exists; choose another file with -o, or remove it")
    layout = read_layout(path)
    labels = scanner_labels_of(layout.scans)
    if labels is None:
        scanners = find_scanners(layout.preferred)
        text = draft_recipe(path, scanners)
    else:
        scanners = labelled_scanners(layout.scans, labels)
        text = draft_travelling(path, scanners, labels)
    _tell(scanners, error_stream=output is None)
    for note in layout.notes:
        click.echo(note, err=True)
    for line in by_reason(layout.left_out):
        click.echo(f"left out {line}", err=True)
    if (
        labels is None
        and sum(bool(scanner.fields) and len(scanner.subjects) > 1 for scanner in scanners) < 2
    ):
        click.echo(
            "warning: a cohort needs a target and a source, and fewer than two scanners with "
            "two subjects each were found; distinguish the domains by columns of "
            "participants.tsv",
            err=True,
        )
    if output is None:
        click.echo(text, nl=False)
        return
    with written(output):
        output.write_text(text, encoding="utf-8")
    click.echo(f"wrote {output}")


@data.command()
@cohort_options
@preset_option
@plugin_option
def prepare(
    cohort: CohortRequest,
    preset: str,
    plugin: tuple[Path, ...],
) -> None:
    """Prepare a cohort, so that `harmbench run` finds it ready.

    Each registration is stored when it is computed: an interrupted preparation resumes with the
    next scan, and another grid, recipe or normalisation of the same scans needs no new
    registrations. Scans on which a tool of brain extraction failed are tried again.
    """
    prepared = _opened(cohort, preset, plugin, retry=True)
    table = prepared.table
    click.echo(
        f"cohort {prepared.name}, {preset} grid, {prepared.normalization}: {len(table)} scans of "
        f"{table['subject'].nunique()} subjects, {len(prepared.left_out)} left out; "
        f"key {prepared.key[:8]}"
    )


@data.command()
@cohort_options
@preset_option
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Contact sheet to write: PNG, PDF or SVG.",
)
@click.option(
    "--scans",
    "most",
    type=click.IntRange(min=1),
    default=60,
    show_default=True,
    help="Scans on the contact sheet at most.",
)
@plugin_option
def show(
    cohort: CohortRequest,
    preset: str,
    output: Path | None,
    most: int,
    plugin: tuple[Path, ...],
) -> None:
    """Show the content of a cohort by domain; it is prepared if necessary."""
    if output is not None:
        check_picture(output, "contact sheet")
    prepared = _opened(cohort, preset, plugin)
    _show(prepared)
    if output is None:
        return
    from harmbench.data.contact_sheet import contact_sheet

    domains = 1 + len(prepared.sources)
    if most < domains:
        raise UserError(f"--scans {most} is less than one for each of the {domains} domains")
    with written(output):
        contact_sheet(prepared, most).savefig(output, dpi=110)
    click.echo(f"wrote {output}")


@data.command()
@cohort_options
@preset_option
@folds_option
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="CSV file to write, with one row per scan.",
)
@plugin_option
def split(
    cohort: CohortRequest,
    preset: str,
    folds: int | None,
    output: Path | None,
    plugin: tuple[Path, ...],
) -> None:
    """Show the split or the fold of each subject; the cohort is prepared if necessary.

    Numbers of subjects are printed. FILE lists subject, session, domain, split, fold and age of
    each scan, for training outside harmbench. It can be given back as --split-file.
    """
    prepared = _opened(cohort, preset, plugin)

    from harmbench.data.folds import folds_of
    from harmbench.data.split_file import split_table

    table = split_table(prepared, folds_of(prepared, folds) if folds else {})
    _print_sizes(prepared, table, folds)
    if output is None:
        return
    with written(output):
        table.to_csv(output, index=False)
    click.echo(f"wrote {output}")


def _print_sizes(cohort: Cohort, table: pd.DataFrame, folds: int | None) -> None:
    """Print the number of subjects of each domain in each split or fold."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from harmbench.data.splits import SPLITS

    column, parts = ("fold", range(1, folds + 1)) if folds else ("split", SPLITS)
    console = Console(highlight=False, markup=False)
    console.print(
        f"subjects of cohort {cohort.name}, {cohort.grid.name} grid, {cohort.key[:8]}", style="bold"
    )
    grid = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 0, 0, 1))
    grid.add_column("domain")
    for part in parts:
        grid.add_column(f"fold {part}" if folds else str(part), justify="right")
    grid.add_column("all", justify="right")
    for domain in (cohort.target, *cohort.sources, "any domain"):
        rows = table if domain == "any domain" else table[table["domain"] == domain]
        sizes = [rows.loc[rows[column] == part, "subject"].nunique() for part in parts]
        grid.add_row(domain, *map(str, sizes), str(rows["subject"].nunique()))
    console.print(grid)


def _opened(
    cohort: CohortRequest,
    preset: str,
    plugin: tuple[Path, ...],
    *,
    retry: bool = False,
) -> Cohort:
    registry = discover(plugin)

    from rich.console import Console

    from harmbench.data.scans import GRIDS
    from harmbench.execution.plan.selection import open_cohort, open_source
    from harmbench.util.home import writable_home
    from harmbench.util.progress_bars import shown

    if preset not in GRIDS:
        raise UserError.unknown("preset", preset, GRIDS)
    source = open_source(registry, cohort, preset)
    with shown(Console(stderr=True)) as progress:
        return open_cohort(source, cohort, GRIDS[preset], writable_home(), progress, retry=retry)


def _tell(scanners: list[ScannerGroup], *, error_stream: bool) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("scanner", overflow="fold")
    for heading in ("subjects", "sessions", "scans"):
        table.add_column(heading, justify="right")
    for scanner in scanners:
        table.add_row(
            scanner.title,
            str(len(scanner.subjects)),
            str(scanner.sessions),
            str(len(scanner.scans)),
        )
    Console(stderr=error_stream, highlight=False, markup=False).print(table)


def _show(cohort: Cohort) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from harmbench.data.summary import domain_rows, totals

    console = Console(highlight=False, markup=False)
    console.print(
        f"cohort {cohort.name} [{kind_of_scans(cohort.kind)}], {cohort.grid.name} grid, "
        f"normalised by {cohort.normalization}, {cohort.key[:8]}",
        style="bold",
    )
    console.print(totals(cohort))
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 0, 0, 1))
    table.add_column("", overflow="fold")
    for domain in (cohort.target, *cohort.sources):
        table.add_column(domain, overflow="fold")
    for heading, texts in domain_rows(cohort).items():
        table.add_row(heading, *texts)
    console.print(table)
    if "maximum_gap_days" in cohort.facts:
        console.print(f"Pairs lie at most {cohort.facts['maximum_gap_days']} days apart.")
    _show_covariates(cohort, console)
    _show_choices(cohort, console)
    for doubt in cohort.facts.get("doubts", ()):
        console.print(f"doubt: {doubt}", soft_wrap=True)
    for note in cohort.facts.get("notes", ()):
        console.print(f"note: {note}", soft_wrap=True)
    for line in by_reason(cohort.facts.get("unassigned", {})):
        console.print(f"of no domain: {line}", soft_wrap=True)
    for details in cohort.table["details"]:
        if details.get("doubtful"):
            reason = f"correlation {details['correlation']:.2f} with the template is low"
            console.print(f"look at {details['path']}: {reason}", soft_wrap=True)
    for name, reason in cohort.left_out.items():
        console.print(f"left out {name}: {reason}", soft_wrap=True)


def _show_covariates(cohort: Cohort, console: Console) -> None:
    """Print which covariates there are, and how many scans lack them."""
    from harmbench.data.covariates import describe_covariates

    words = []
    for covariate in describe_covariates(cohort.table):
        values = "a number" if covariate.numeric else f"text such as {', '.join(covariate.texts)}"
        missing = f"{covariate.missing} of {len(cohort.table)} scans lack it"
        words.append(f"{covariate.name} ({values}; {missing if covariate.missing else 'complete'})")
    if words:
        console.print(f"covariates: {', '.join(words)}", soft_wrap=True)


def _show_choices(cohort: Cohort, console: Console) -> None:
    """Print which of several T1w files of a session was chosen, and why."""
    details = [row for row in cohort.table["details"] if row.get("choice")]
    for row in details[:_MOST_CHOICES]:
        console.print(f"chosen {row['path']} {row['choice']}", soft_wrap=True)
    if len(details) > _MOST_CHOICES:
        rest = len(details) - _MOST_CHOICES
        console.print(f"and {rest} more sessions with several T1w files")
