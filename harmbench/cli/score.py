"""`harmbench score`: score images that were harmonised elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harmbench.cli.options import (
    TaskChoice,
    device_option,
    discover,
    plugin_option,
    task_options,
)
from harmbench.errors import UserError
from harmbench.util.name_list import first_names

if TYPE_CHECKING:
    from harmbench.execution.plan.plan import Plan
    from harmbench.util.progress import Progress


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--name", required=True, metavar="NAME", help="Name of the row on the board.")
@click.option("--author", default="", metavar="TEXT", help="Who made the images.")
@click.option("--date", default="", metavar="YYYY-MM-DD", help="When the images were made.")
@click.option("--reference", default="", metavar="TEXT", help="DOI or address of the method.")
@task_options
@device_option
@plugin_option
def score(
    folder: Path,
    name: str,
    author: str,
    date: str,
    reference: str,
    choice: TaskChoice,
    device: str,
    plugin: tuple[Path, ...],
) -> int:
    """Score the harmonised images in FOLDER, and give them a row on the board.

    \b
    harmbench score harmonised --name my-tool -t domain3
    harmbench score images.csv --name my-tool -t domain3 --author "A. Author" --date 2026-11-28
    harmbench score harmonised --name my-tool -t 'site-*' --cohort bids:/data/study \\
        --recipe study.toml --folds 5

    FOLDER is a BIDS derivative, or a CSV file with columns subject, session and path. The images
    lie in the acquired space of their scans, or on the scoring grid. `harmbench data
    export-inputs` writes the scans to harmonise.

    All images are checked before anything is scored: a wrong image is named with the reason.
    Missing images are listed. A submission with missing images is shown, and not ranked on that
    task. Images of a later submission under the same name replace the earlier ones. Give
    --target and --fit-cohort as for `harmbench data export-inputs`.
    """  # noqa: D301
    registry = discover(plugin)

    from rich.console import Console

    from harmbench.cli.run_cells import compute, summary_line
    from harmbench.execution.plan.plan import make_plan
    from harmbench.execution.plan.selection import select
    from harmbench.execution.schedule.run_options import RunOptions
    from harmbench.external.submission_request import SubmissionRequest
    from harmbench.util.home import writable_home
    from harmbench.util.progress_bars import shown

    submission = SubmissionRequest(
        folder=folder.expanduser().absolute(),
        name=name,
        author=author,
        date=date,
        reference=reference,
    )
    request = choice.request(submission)
    selection = select(registry, request)
    home = writable_home()
    with shown(Console(stderr=True)) as progress:
        plan = make_plan(registry, selection, home, progress)
        _require_images(plan, folder)
        for line in _missing(plan):
            click.echo(line, err=True)
        if not _check(plan, progress):
            raise UserError("nothing was scored: correct the images, or remove them")
    options = RunOptions(request=request, plugins=plugin, device=device)
    summary = compute(registry, selection, home, options)
    click.echo(summary_line(summary))
    return int(summary.failed)


def _require_images(plan: Plan, folder: Path) -> None:
    """Check that at least one test scan has an image.

    Raises
    ------
    UserError
        If none has; the message names an expected image.
    """
    from harmbench.external.image_names import image_path

    cells = [planned.cell for planned in plan.cells]
    expected = [name for cell in cells for name in cell.submission.get("missing", ())]
    if expected and not any(cell.submission.get("images") for cell in cells):
        example = image_path(*expected[0].split("/", 1))
        raise UserError(
            f"'{folder}' has no image of a test scan; expected images such as {example}"
        )


def _missing(plan: Plan) -> Iterator[str]:
    """Yield a line for each cell with missing images."""
    for planned in plan.cells:
        names = planned.cell.submission.get("missing", [])
        if names:
            scans = len(names) + len(planned.cell.submission["images"])
            yield (
                f"missing: {len(names)} of {scans} images of {planned.cell.title}: "
                f"{first_names(names)}"
            )


def _check(plan: Plan, progress: Progress) -> bool:
    """Check all images, and print a line for each wrong one; return whether all are right."""
    from harmbench.external.submission import fault
    from harmbench.external.submitted_volume import SubmittedVolume

    images: dict[Path, SubmittedVolume] = {}
    for planned in plan.cells:
        scans = () if planned.data is None else planned.data.test.substitutes
        images |= {image.path: image for image in scans if isinstance(image, SubmittedVolume)}
    right = True
    for image in progress.track(images.values(), "checking images", len(images)):
        reason = fault(image)
        if reason is not None:
            click.echo(f"wrong: {reason}", err=True)
            right = False
    return right
