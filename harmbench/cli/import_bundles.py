"""`harmbench import`: add the results of bundles to the boards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harmbench.cli.wording import counted
from harmbench.errors import UserError

if TYPE_CHECKING:
    from harmbench.bundles.importing import ImportReport

_SHOWN = 3  # results with other numbers that are named


@click.command("import")
@click.argument("source", required=False, type=click.Path(path_type=Path))
@click.option("--remove", metavar="NAME", help="Remove the imported bundle with this title or key.")
def import_bundles(source: Path | None, remove: str | None) -> int:
    """Verify the bundle SOURCE, or all bundles in the folder SOURCE, and show them on the boards.

    \b
    harmbench import lab-a.harmbench.zip
    harmbench import results-repo/
    harmbench import                       list imported bundles
    harmbench import --remove lab-a

    SOURCE may be a checkout of a results repository. Imported results share a board with those
    of this home if they answer the same question; otherwise the reason is printed. Of a result
    that this home has computed, too, the own one is shown. Nothing is imported from a damaged
    bundle.

    Exit code 1 if a bundle of a folder was refused, 2 for a usage error.
    """  # noqa: D301
    from harmbench.bundles.importing import bundle_files, import_bundle
    from harmbench.bundles.imports import ImportedBundles
    from harmbench.util.home import home, writable_home

    if remove is not None:
        if source is not None:
            raise UserError("give either SOURCE or --remove NAME")
        removed = ImportedBundles(writable_home()).remove(remove)
        click.echo(f"removed {removed.manifest.origin}")
        return 0
    if source is None:
        for bundle in ImportedBundles(home()).all():
            count = counted(bundle.manifest.results, "result")
            click.echo(f"{bundle.key[:8]}  {bundle.manifest.origin}: {count}")
        return 0
    files = bundle_files(source)
    refused = 0
    for path in files:
        try:
            report = import_bundle(writable_home(), path)
        except UserError as error:
            if len(files) == 1:
                raise
            refused += 1
            click.echo(f"error: {error}", err=True)
        else:
            _print(path, report)
    return int(refused > 0)


def _print(path: Path, report: ImportReport) -> None:
    manifest, overlap = report.manifest, report.overlap
    if report.known:
        click.echo(f"{path}: was imported before ({manifest.origin})")
        return
    parts = [f"{overlap.new} new"]
    if overlap.equal:
        parts.append(f"{overlap.equal} that this home has with equal numbers")
    if overlap.different:
        parts.append(f"{len(overlap.different)} that this home has with other numbers")
    click.echo(
        f"{path}: imported {counted(manifest.results, 'result')} of {manifest.origin}: "
        f"{', '.join(parts)}"
    )
    for line in overlap.different[:_SHOWN]:
        click.echo(f"  differs: {line}")
    if len(overlap.different) > _SHOWN:
        click.echo(f"  and {len(overlap.different) - _SHOWN} more")
    for match in report.boards:
        for line in match.lines:
            click.echo(f"  {line}")
