"""`harmbench publish`: write results to a bundle, for other researchers."""

from __future__ import annotations

from pathlib import Path

import click

from harmbench.cli.result_filters import cohort_filter, method_filter, task_filter
from harmbench.cli.wording import counted


@click.command()
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Bundle to write: NAME.harmbench.zip.",
)
@method_filter("Publish")
@task_filter("Publish")
@cohort_filter("Publish")
@click.option("--author", default="", metavar="TEXT", help="Author or authors of the results.")
@click.option("--note", default="", metavar="TEXT", help="Free text on the results.")
@click.option(
    "--names",
    is_flag=True,
    help="Publish names of subjects and users, and paths, instead of pseudonyms.",
)
@click.option("--pictures", is_flag=True, help="Publish slices of harmonised scans, too.")
def publish(
    output: Path,
    methods: tuple[str, ...],
    tasks: tuple[str, ...],
    cohorts: tuple[str, ...],
    author: str,
    note: str,
    names: bool,
    pictures: bool,
) -> None:
    """Write the results of this home to a bundle, which others import.

    \b
    harmbench publish -o lab-a.harmbench.zip --author "A. Author"
    harmbench publish -o unet.harmbench.zip -m unet -m identity --cohort oasis3

    A bundle has the values of each subject, the commands, versions and settings, and the sources
    of single-file plugins. Subjects have pseudonyms, and users and paths are left out. Imported
    results are not published again.
    """  # noqa: D301
    from harmbench.bundles.publication import Publication
    from harmbench.bundles.publication import publish as write
    from harmbench.util.home import home

    publication = Publication(
        methods=methods,
        tasks=tasks,
        cohorts=cohorts,
        author=author,
        note=note,
        names=names,
        pictures=pictures,
    )
    written = write(home(), output, publication)
    manifest = written.manifest
    if written.pictures_of_persons:
        click.echo(
            f"warning: {output} contains slices of scans in "
            f"{counted(written.pictures_of_persons, 'result')}; check that the licence of the "
            "data permits it, and that no face is visible",
            err=True,
        )
    subjects = "names of subjects" if names else "pseudonyms of subjects"
    click.echo(
        f"{written.path}: {counted(manifest.results, 'result')} on "
        f"{counted(len(manifest.boards), 'board')}, with {subjects}, {written.size / 1024:.0f} KiB"
    )
    for name in manifest.files:
        if name.startswith("plugin_"):
            click.echo(f"  with the source of a plugin: {name}")
