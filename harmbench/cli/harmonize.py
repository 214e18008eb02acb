"""`harmbench harmonize`: harmonise a scan or a folder of scans, each in its own space."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from harmbench.cli.options import (
    CellChoice,
    cell_options,
    cohort_options,
    collected,
    device_option,
    discover,
    plugin_option,
)
from harmbench.cli.wording import counted
from harmbench.errors import UserError

if TYPE_CHECKING:
    from harmbench.data.cohort_request import CohortRequest
    from harmbench.data.prepare_options import PrepareOptions
    from harmbench.execution.plan.request import Request
    from harmbench.harmonization.harmonizer import HarmonizeContext, Harmonizer
    from harmbench.harmonization.output_paths import OutputPaths
    from harmbench.harmonization.precheck import CheckedJobs
    from harmbench.harmonization.scan import HarmonizeJob, HarmonizeOptions
    from harmbench.util.progress import Progress

_FILE = click.Path(path_type=Path, dir_okay=False)


@dataclass(frozen=True, kw_only=True)
class FileOptions:
    """Options that name files next to scan and output."""

    brain_mask: Path | None
    mask: Path | None
    figure: Path | None
    no_figure: bool


@dataclass(frozen=True, kw_only=True)
class ApplyOptions:
    """Options on how a fit is applied."""

    blend: float
    grid_only: bool
    jobs: int | None
    force: bool
    covariate: tuple[str, ...]

    def options(self, prepare_options: PrepareOptions) -> HarmonizeOptions:
        """Return the options of all scans; they are prepared like those of the fit."""
        from harmbench.harmonization.scan import HarmonizeOptions

        return HarmonizeOptions(
            self.blend,
            all_slices=not self.grid_only,
            force=self.force,
            prepare_options=prepare_options,
        )


_file_options = collected(
    "files",
    FileOptions,
    click.option(
        "--brain-mask",
        type=_FILE,
        metavar="FILE",
        help="Brain mask on the scan's voxels, for a scan that is not brain-extracted.",
    ),
    click.option(
        "--mask",
        type=_FILE,
        metavar="FILE",
        help="Write the mask of changed voxels. A folder's scans always get one each.",
    ),
    click.option(
        "--figure",
        type=_FILE,
        metavar="FILE",
        help="PNG file of before and after. Default: next to the output.",
    ),
    click.option("--no-figure", is_flag=True, help="Draw no figures."),
)
_apply_options = collected(
    "apply",
    ApplyOptions,
    click.option(
        "--blend",
        type=click.FloatRange(min=0),
        default=3.0,
        show_default=True,
        metavar="MM",
        help="Fade the change in over MM from the border to unchanged voxels.",
    ),
    click.option(
        "--grid-only",
        is_flag=True,
        help="Harmonise only the grid's slices, and fade the change out at both ends.",
    ),
    click.option(
        "--jobs",
        type=click.IntRange(min=1),
        metavar="N",
        help="Processes for a folder, as far as the machine's memory allows. Default: one per "
        "processor, or one on a GPU, whose memory is not checked.",
    ),
    click.option("--force", is_flag=True, help="Replace outputs of another fit or other options."),
    click.option(
        "--covariate",
        multiple=True,
        metavar="NAME=VALUE",
        help="Covariate of the scan, such as age=63, for methods that declare it; repeatable. "
        "Those of a folder are read from its participants.tsv.",
    ),
)


@click.command()
@click.argument("scan", required=False, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="OUT",
    help="NIfTI file to write, or a folder if SCAN is a folder.",
)
@click.option("--fit", metavar="KEY", help="Stored fit, given by the beginning of its key.")
@click.option("--fits", is_flag=True, help="List the stored fits, and exit.")
@cell_options(
    method_help="Method to harmonise with, instead of --fit.",
    task_help="Task whose fit of the method is used; it is fitted now if necessary.",
)
@cohort_options
@_file_options
@_apply_options
@device_option
@plugin_option
@click.pass_context
def harmonize(
    context: click.Context,
    scan: Path | None,
    output: Path | None,
    fit: str | None,
    fits: bool,
    choice: CellChoice,
    cohort: CohortRequest,
    files: FileOptions,
    apply: ApplyOptions,
    device: str,
    plugin: tuple[Path, ...],
) -> int:
    """Harmonise SCAN, a T1w volume of a head or brain, or a folder of them, and write OUT.

    \b
    harmbench harmonize scan.nii.gz -o out.nii.gz --method blindharmony --task domain1
    harmbench harmonize --fits
    harmbench harmonize study/ -o study/derivatives/harmonized --fit 3f2a --jobs 2

    OUT has SCAN's header, shape, voxels and type. The method works on its own grid; its
    change is resampled to SCAN and added, so detail finer than the grid is kept. Contrast
    becomes the target's; the intensity scale of each slice stays the scan's. Voxels outside
    the brain do not change.

    All slices of the brain are harmonised. Methods are fitted on the grid's 50 slices (MNI152
    z from -11 to 47 mm), and the benchmark does not measure quality outside. Most methods
    (histogram, blindcurve, unet and others) estimate their change on the grid and apply it to
    all slices. For the others (blindharmony, n4-whitestripe), slices outside replace the
    outermost ones, a few at a time. blindharmony gets worse with distance: it takes the scale
    from the mean slice at that position, and makes the cerebellum and the crown too bright.
    --grid-only leaves those slices alone.

    The output of a folder is a BIDS derivative. After an interruption, run the same command
    again to continue. Exit code 1 if a scan of a folder was left out, 2 for a usage error.
    """  # noqa: D301
    if fits:
        _list_fits()
        return 0
    if scan is None or output is None:
        raise UserError(f"missing {'SCAN' if scan is None else '--output'} (see --help)")
    _check_fit(context, fit, choice.method)
    outputs = _outputs(scan, output, files)
    request = choice.request(cohort)
    where = _context(plugin, device)
    declared, given = _covariates(where, fit, request, apply.covariate, folder=outputs is None)

    from rich.console import Console

    from harmbench.harmonization.checked_request import checked_options
    from harmbench.util.progress_bars import shown

    with shown(Console(stderr=True)) as progress:
        stored = None if fit is None else _stored(where, fit, request, progress)
        options = apply.options(checked_options(where, stored, request))
        work = Work(where.home, options, progress, declared)
        if outputs is None:
            figures = not files.no_figure
            checked = work.checked_folder(scan, output, figures=figures)
            harmonizer = stored or _fitted(where, request, progress)
            return work.folder(scan, output, checked, harmonizer, apply.jobs)
        job = work.checked_scan(scan, files.brain_mask, outputs, given, fit_follows=stored is None)
        message = work.single(job, stored or _fitted(where, request, progress))
    click.echo(message)
    return 0


def _covariates(
    context: HarmonizeContext,
    fit: str | None,
    request: Request,
    assignments: tuple[str, ...],
    *,
    folder: bool,
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the covariates that the method declares, and those that are given for a scan."""
    from harmbench.harmonization.checked_request import checked_covariates
    from harmbench.harmonization.scan_covariates import parse_covariates

    given = parse_covariates(assignments)
    return checked_covariates(context, fit, request, given, folder=folder), given


def _context(plugin: tuple[Path, ...], device: str) -> HarmonizeContext:
    from harmbench.harmonization.harmonizer import HarmonizeContext
    from harmbench.util.device import resolve
    from harmbench.util.home import writable_home

    return HarmonizeContext(
        registry=discover(plugin),
        plugins=plugin,
        home=writable_home(),
        device=str(resolve(device)),
    )


def _stored(
    context: HarmonizeContext, fit: str, request: Request, progress: Progress
) -> Harmonizer:
    """Return the harmonizer of a stored fit."""
    from harmbench.harmonization.harmonizer import from_fit

    harmonizer = from_fit(context, fit, request.assignments)
    if harmonizer.fold:
        progress.log(
            f"note: the fit {harmonizer.fit} is fold {harmonizer.fold} of "
            f"{harmonizer.split}: it was made without the subjects that this fold tests"
        )
    return harmonizer


def _fitted(context: HarmonizeContext, request: Request, progress: Progress) -> Harmonizer:
    """Return the harmonizer of a method, fitted now if necessary."""
    from harmbench.harmonization.harmonizer import from_request

    return from_request(context, request, progress)


def _outputs(scan: Path, output: Path, files: FileOptions) -> OutputPaths | None:
    """Return the checked output paths of a single scan; None for a folder."""
    from harmbench.harmonization.output_paths import (
        OutputPaths,
        check_folder_paths,
        check_scan_paths,
    )
    from harmbench.preprocessing.file_names import with_ending

    if scan.is_dir():
        check_folder_paths(
            scan, output, brain_mask=files.brain_mask, mask=files.mask, figure=files.figure
        )
        return None
    check_scan_paths(scan, files.brain_mask, OutputPaths(output, files.mask, files.figure))
    figure = files.figure
    if figure is None and not files.no_figure:
        figure = with_ending(output, ".png")
    return OutputPaths(output, files.mask, figure)


def _check_fit(context: click.Context, fit: str | None, method: str | None) -> None:
    """Check that the fit is selected either by its key or by the other options."""
    if (fit is None) == (method is None):
        raise UserError("give either --fit KEY or --method NAME")
    if fit is None:
        return
    for name in ("task", "cohort", "recipe", "normalize", "n4", "split_file", "preset", "seed"):
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            option = name.replace("_", "-")
            raise UserError(f"--fit selects the fit: leave out --{option}, or use --method")


def _list_fits() -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from harmbench.store.fit_descriptions import stored_fits
    from harmbench.util.home import home

    fits = stored_fits(home())
    if not fits:
        raise UserError(f"no fits in {home() / 'fits'} yet; `harmbench run` creates them")
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 0, 0, 1))
    for heading in ("key", "method", "target", "subjects", "split", "preset", "seed"):
        table.add_column(heading, no_wrap=True)
    for key, fit in fits.items():
        split = f"{fit['fold']} of {fit['split']}" if fit.get("fold") else fit.get("split", "test")
        subjects, seed = str(len(fit["subjects"])), str(fit["seed"])
        table.add_row(key, fit["method"], fit["domain"], subjects, split, fit["preset"], seed)
    Console().print(table)


@dataclass(frozen=True)
class Work:
    """Check scans before the fit, and harmonise them after it."""

    home: Path
    options: HarmonizeOptions
    progress: Progress
    declared: tuple[str, ...]

    def checked_scan(
        self,
        scan: Path,
        brain_mask: Path | None,
        outputs: OutputPaths,
        covariates: dict[str, str],
        *,
        fit_follows: bool,
    ) -> HarmonizeJob:
        """Return the job of one scan, after a check: of its voxels too if a fit may follow."""
        from harmbench.harmonization.folder import job_of
        from harmbench.harmonization.precheck import check_scan

        job = job_of(scan, brain_mask, outputs, self.home, self.options, covariates)
        check_scan(job, self.home, fit_follows=fit_follows)
        return job

    def single(self, job: HarmonizeJob, harmonizer: Harmonizer) -> str:
        """Harmonise one scan; return the message to print."""
        from harmbench.harmonization.scan import harmonize_scan

        result, written = harmonize_scan(job, harmonizer, self.progress), job.outputs.scan
        if result.warning is not None:
            self.progress.log(f"warning: {job.name}: {result.warning}")
        return f"{written} already exists" if result.existing else f"wrote {written}"

    def checked_folder(self, folder: Path, out: Path, *, figures: bool) -> CheckedJobs:
        """Return the jobs of a folder, after a check."""
        from harmbench.harmonization.folder import jobs_in
        from harmbench.harmonization.precheck import check_folder

        jobs = jobs_in(folder, out, self.home, self.options, self.declared, figures=figures)
        return check_folder(jobs, self.home, self.progress)

    def folder(
        self,
        folder: Path,
        out: Path,
        checked: CheckedJobs,
        harmonizer: Harmonizer,
        processes: int | None,
    ) -> int:
        """Harmonise a folder, print the summary, and return the exit code."""
        from harmbench.harmonization.folder import harmonize_folder

        summary = harmonize_folder(
            folder,
            out,
            checked,
            harmonizer,
            self.progress,
            force=self.options.force,
            processes=processes,
        )
        click.echo(
            f"{counted(summary.scans, 'scan')}: {summary.harmonized} harmonised, "
            f"{summary.existing} already existed, {summary.failed} left out; in {out}"
        )
        return int(summary.failed > 0)
