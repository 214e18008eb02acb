"""`harmbench verify`: recompute results of a bundle, and compare the numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harmbench.cli.fit_options import fit_cohort_option, fit_recipe_option, fit_request
from harmbench.cli.options import cohort_options, device_option, discover, plugin_option
from harmbench.cli.result_filters import method_filter, target_filter, task_filter
from harmbench.cli.wording import counted
from harmbench.errors import UserError

if TYPE_CHECKING:
    from harmbench.bundles.archive import Archive
    from harmbench.bundles.verification import Confirmation
    from harmbench.data.cohort_request import CohortRequest


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@method_filter("Recompute")
@task_filter("Recompute")
@target_filter("Recompute")
@click.option(
    "--cells",
    "count",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    metavar="N",
    help="Number of results to recompute: those that took the least time.",
)
@click.option("--all", "everything", is_flag=True, help="Recompute all results.")
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    default=1e-3,
    show_default=True,
    metavar="NUMBER",
    help="Largest relative difference of a number.",
)
@cohort_options
@fit_cohort_option
@fit_recipe_option
@device_option
@plugin_option
def verify(
    bundle: Path,
    methods: tuple[str, ...],
    tasks: tuple[str, ...],
    targets: tuple[str, ...],
    count: int,
    everything: bool,
    tolerance: float,
    cohort: CohortRequest,
    fit_cohort: str | None,
    fit_recipe: Path | None,
    device: str,
    plugin: tuple[Path, ...],
) -> int:
    """Recompute results of BUNDLE on this machine, and compare all numbers.

    \b
    harmbench verify lab-a.harmbench.zip
    harmbench verify lab-a.harmbench.zip -m unet -t domain3 --cohort oasis3:/data/OASIS3
    harmbench verify lab-b.harmbench.zip --cohort simon:/data/simon --fit-cohort oasis3:/data/o3

    Methods are fitted again in a temporary folder; the scans are those of this machine. The
    code of a bundle is never run: install its plugins, or read their sources and give them with
    --plugin.

    Exit code 1 if a number differs or a result could not be recomputed, 2 for a usage error.
    """  # noqa: D301
    registry = discover(plugin)

    from rich.console import Console

    from harmbench.bundles.archive import read_archive
    from harmbench.bundles.imports import parsed
    from harmbench.bundles.verification import Verifier, chosen_records
    from harmbench.util.device import resolve
    from harmbench.util.home import writable_home
    from harmbench.util.progress_bars import shown

    archive = read_archive(bundle)
    parsed(archive, bundle)
    records = chosen_records(
        archive,
        methods=methods,
        tasks=tasks,
        targets=targets,
        count=None if everything else count,
    )
    bad = 0
    with shown(Console(stderr=True)) as progress:
        verifier = Verifier(
            registry=registry,
            home=writable_home(),
            device=resolve(device),
            progress=progress,
            cohort=cohort,
            fit_cohort=fit_request(cohort, fit_cohort, fit_recipe),
        )
        try:
            for check in verifier.checks(records):
                bad += not check.confirms(tolerance)
                click.echo(_line(check, tolerance))
        except UserError as error:
            raise UserError(f"{error}{_sources(archive)}") from None
    rest = archive.manifest.results - len(records)
    not_checked = f"; {counted(rest, 'other result')} not recomputed" if rest else ""
    click.echo(f"{len(records) - bad} of {counted(len(records), 'result')} confirmed{not_checked}")
    return int(bad > 0)


def _line(check: Confirmation, tolerance: float) -> str:
    """Describe the comparison of a result."""
    if check.reason:
        return f"NOT RECOMPUTED  {check.title}: {check.reason}"
    verdict = "confirmed" if check.confirms(tolerance) else "DIFFERS  "
    difference = "all numbers are equal"
    if check.largest > 0:
        difference = f"largest relative difference {check.largest:.2g} ({check.metric})"
    compared = (
        f"values of {counted(check.subjects, 'subject')} compared"
        if check.subjects
        else "means compared, since the subjects' pseudonyms are unknown here"
    )
    note = f"; computed with {check.note}" if check.note else ""
    return f"{verdict}       {check.title}: {difference}; {compared}{note}"


def _sources(archive: Archive) -> str:
    """Return a hint to the sources of plugins in a bundle."""
    names = [name for name in archive.manifest.files if name.startswith("plugin_")]
    if not names:
        return ""
    return (
        f" (the bundle contains {', '.join(names)}: unpack the file, read it, and give it with "
        "--plugin)"
    )
