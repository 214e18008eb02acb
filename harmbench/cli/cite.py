"""`harmbench cite`: a paragraph on methods, with BibTeX, of what was run."""

from __future__ import annotations

from pathlib import Path

import click

from harmbench.cli.options import discover, plugin_option
from harmbench.cli.output_files import written


@click.command()
@click.option("--cohort", metavar="NAME", help="Describe this cohort. Default: the newest.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="NAME",
    help="Write NAME.tex and NAME.bib. Default: print both.",
)
@plugin_option
def cite(cohort: str | None, output: Path | None, plugin: tuple[Path, ...]) -> None:
    r"""Describe in LaTeX what was run, for a paper, and print the BibTeX entries that it cites.

    \b
    harmbench cite
    harmbench cite --cohort phantom -o methods

    The paragraph names methods, controls, cohort, tasks, metrics and statistics. It cites
    harmbench, and the papers that methods, tasks and metrics declare. A paper that harmbench does
    not ship an entry of is cited by its DOI or arXiv number alone.
    """
    registry = discover(plugin)
    from harmbench.api.results import results

    recorded = results(registry=registry)
    text, bibtex = (recorded if cohort is None else recorded.on_cohort(cohort)).citation()
    if output is None:
        click.echo(f"{text}\n{bibtex}", nl=False)
        return
    for path, content in ((output.with_suffix(".tex"), text), (output.with_suffix(".bib"), bibtex)):
        with written(path):
            path.write_text(content, encoding="utf-8")
        click.echo(f"wrote {path}")
