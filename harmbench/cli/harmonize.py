"""`harmbench harmonize`: scans in, harmonised scans out, in the space they came in."""

from __future__ import annotations

import dataclasses
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from harmbench.cli.options import (
    cohort_option,
    complete,
    device_option,
    discover,
    normalize_option,
    plugin_option,
    preparing_options,
    preset_option,
    recipe_option,
    set_option,
)
from harmbench.errors import BadScanError, UserError

if TYPE_CHECKING:
    from harmbench.data.prepare_options import PrepareOptions
    from harmbench.execution.plan.request import Request
    from harmbench.harmonization.harmonizer import Harmonizer
    from harmbench.harmonization.scan import HarmonizedScan, HarmonizeJob, HarmonizeOptions
    from harmbench.plugins import Registry
    from harmbench.util.progress import Progress

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("scan", required=False, type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="OUT",
    help="NIfTI file to write, or a folder where SCAN is one.",
)  # fmt: skip
@click.option("--fit", metavar="KEY", help="A stored fit, by its key or the beginning of it.")
@click.option("--fits", is_flag=True, help="List the stored fits, and do nothing else.")
@click.option(
    "-m", "--method", metavar="NAME", shell_complete=complete("methods"),
    help="Method to harmonise with, in place of --fit.",
)  # fmt: skip
@click.option(
    "-t", "--task", metavar="NAME", shell_complete=complete("tasks"),
    help="Task whose fit of the method is used, and made if it is not there yet.",
)  # fmt: skip
@cohort_option
@recipe_option
@normalize_option
@preparing_options
@preset_option
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Base seed.")
@set_option
@click.option(
    "--brain-mask", type=_FILE, metavar="FILE",
    help="Mask of the brain on the scan's voxels, if the scan is not brain-extracted.",
)  # fmt: skip
@click.option(
    "--mask", type=_FILE, metavar="FILE",
    help="Write the mask of what was changed. In a folder there is always one for each scan.",
)  # fmt: skip
@click.option(
    "--figure", type=_FILE, metavar="FILE",
    help="PNG of before and after. Default: beside the output.",
)  # fmt: skip
@click.option("--no-figure", is_flag=True, help="Draw nothing.")
@click.option(
    "--blend", type=click.FloatRange(min=0), default=3.0, show_default=True, metavar="MM",
    help="Let the change grow over so many mm from the border to voxels that are kept.",
)  # fmt: skip
@click.option(
    "--grid-only", is_flag=True,
    help="Harmonise the grid's slices alone, and blend the change out at their ends.",
)  # fmt: skip
@click.option(
    "--jobs", type=click.IntRange(min=1), metavar="N",
    help="Processes for a folder. Default: one for each processor.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace outputs that were made otherwise.")
@device_option
@plugin_option
@click.pass_context
def harmonize(
    context: click.Context,
    scan: Path | None,
    output: Path | None,
    fit: str | None,
    fits: bool,
    method: str | None,
    task: str | None,
    cohort: str,
    recipe: Path | None,
    normalize: str,
    prepare_options: PrepareOptions,
    preset: str,
    seed: int,
    assignments: tuple[str, ...],
    brain_mask: Path | None,
    mask: Path | None,
    figure: Path | None,
    no_figure: bool,
    blend: float,
    grid_only: bool,
    jobs: int | None,
    force: bool,
    device: str,
    plugin: tuple[Path, ...],
) -> int:
    """Harmonise SCAN, a brain-extracted T1w volume or a folder of them, into OUT.

    \b
    harmbench harmonize scan.nii.gz -o out.nii.gz --method blindharmony --task domain1
    harmbench harmonize --fits
    harmbench harmonize study/ -o study/derivatives/harmonized --fit 3f2a --jobs 2

    OUT has SCAN's header, shape, voxels and type. What the method changes on its own grid is
    brought back and added, so that detail finer than the grid stays; contrast becomes the
    target's, the scale of each slice stays the scan's. Voxels outside of the brain stay as
    they are, to the bit.

    Every slice of the brain is harmonised. Methods are fitted on the grid's 50 slices (MNI152
    z from -11 to 47 mm); slices beyond are shown to them a few at a time in the place of the
    outermost ones. How well a method serves there, no benchmark says. One that goes by the
    place of a slice serves the worse the further away it is: blindharmony takes its scale
    from the mean slice of that place, and makes the cerebellum and the crown too bright.
    --grid-only leaves them alone.

    A folder's outputs form a BIDS derivative. Started again, the same command goes on. Exit
    code 1 if a scan of a folder was left out, 2 for a mistake.
    """  # noqa: D301
    if fits:
        _list_fits()
        return 0
    if scan is None or output is None:
        missing = "SCAN" if scan is None else "--output"
        raise UserError(f"say what to harmonise into what: {missing} is missing (see --help)")
    if (fit is None) == (method is None):
        raise UserError("say what to harmonise with: either --fit KEY or --method NAME")
    _check_paths(scan, output, brain_mask, mask, figure)
    if fit is not None:
        _check_fit_alone(context)
    registry = discover(plugin)

    from rich.console import Console

    from harmbench.cli.progress_bars import shown
    from harmbench.execution.plan.request import Request
    from harmbench.harmonization.folder import job_of
    from harmbench.harmonization.harmonizer import from_fit
    from harmbench.harmonization.scan import HarmonizeOptions, OutputPaths
    from harmbench.preprocessing.file_names import beside
    from harmbench.util.device import resolve
    from harmbench.util.home import writable_home

    chosen, home = str(resolve(device)), writable_home()
    with shown(Console(stderr=True)) as progress:
        registry.on_error = lambda line: progress.log(f"warning: {line}")
        if fit is not None:
            harmonizer = from_fit(registry, fit, home, chosen, plugin, assignments)
            heads, n4 = ("heads" in harmonizer.prepared, "n4" in harmonizer.prepared)
            prepare_options = dataclasses.replace(prepare_options, heads=heads, n4=n4)
        else:
            tasks = [task] if task is not None else []
            request = Request(
                [str(method)], tasks, cohort, recipe, preset, (seed,), assignments,
                normalize=normalize, prepare_options=prepare_options,
            )  # fmt: skip
            harmonizer = _of_method(registry, request, home, chosen, plugin, progress)
        options = HarmonizeOptions(
            blend, all_slices=not grid_only, force=force, prepare_options=prepare_options
        )
        if scan.is_dir():
            return _folder(
                scan,
                output,
                harmonizer,
                options,
                progress,
                figures=not no_figure,
                jobs=jobs,
            )
        if figure is None and not no_figure:
            figure = beside(output, ".png")
        job = job_of(scan, brain_mask, OutputPaths(output, mask, figure), home, options)
        outcome = _single(job, harmonizer, progress)
    click.echo(f"{output} is there already" if outcome.there else f"wrote {output}")
    return 0


def _check_paths(
    scan: Path, output: Path, brain_mask: Path | None, mask: Path | None, figure: Path | None
) -> None:
    """Refuse what cannot be, before anything is computed."""
    if scan.is_dir():
        for name, path in (("brain-mask", brain_mask), ("mask", mask), ("figure", figure)):
            if path is not None:
                raise UserError(f"--{name} is for a single scan, and '{scan}' is a folder")
        if output.exists() and not output.is_dir():
            raise UserError(f"'{scan}' is a folder, so --output must be one, and is a file")
        return
    for name, path, endings in (
        ("output", output, (".nii", ".nii.gz")),
        ("mask", mask, (".nii", ".nii.gz")),
        ("figure", figure, (".png",)),
    ):
        if path is None:
            continue
        if not path.name.endswith(endings):
            raise UserError(f"--{name} is written as {' or '.join(endings)}, not as '{path}'")
        if not path.absolute().parent.is_dir():
            raise UserError(f"no folder '{path.parent}' to write --{name} to")
        if path.exists() and any(
            given is not None and given.exists() and path.samefile(given)
            for given in (scan, brain_mask)
        ):
            raise UserError(f"--{name} '{path}' is an input; give another name")
    written = [path.absolute() for path in (output, mask, figure) if path is not None]
    if len(set(written)) < len(written):
        raise UserError("--output, --mask and --figure must have names of their own")


def _check_fit_alone(context: click.Context) -> None:
    """Refuse what would choose a fit beside `--fit`."""
    for name in ("task", "cohort", "recipe", "normalize", "n4", "preset", "seed"):
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise UserError(f"--fit says which fit: leave out --{name}, or say --method")


def _list_fits() -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from harmbench.harmonization.harmonizer import stored_fits
    from harmbench.util.home import home

    found = stored_fits(home())
    if not found:
        raise UserError(f"no fits in {home() / 'fits'} yet; `harmbench run` makes some")
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("key", "method", "target", "people", "preset", "grid", "seed"):
        table.add_column(heading, no_wrap=True)
    for key, fit in found.items():
        grid = "x".join(str(size) for size in fit["grid"]["shape"])
        subjects = str(len(fit["people"]))
        table.add_row(
            key, fit["method"], fit["domain"], subjects, fit["preset"], grid, str(fit["seed"])
        )
    Console().print(table)


def _of_method(
    registry: Registry,
    request: Request,
    home: Path,
    device: str,
    plugins: tuple[Path, ...],
    progress: Progress,
) -> Harmonizer:
    """Return the harmoniser of a method as a cell would use it, fitted now if need be."""
    import json

    import torch

    from harmbench.contracts.needs import Needs
    from harmbench.data.scans import GRIDS
    from harmbench.execution.compute.runner import Runner
    from harmbench.execution.plan import settings
    from harmbench.execution.plan.plan import make_plan
    from harmbench.execution.plan.selection import select
    from harmbench.harmonization.harmonizer import Harmonizer
    from harmbench.plugins import code_version
    from harmbench.preprocessing.normalization import normalization
    from harmbench.util.hashing import canonical

    (name,) = request.methods
    kind = registry.entry("methods", name).load()
    if kind.needs is Needs.TRUTH:
        raise UserError(f"'{name}' needs the paired truth, and a scan from outside has none")
    fit, cohort, target = None, None, None
    normalized = request.normalize
    standard: tuple[float, ...] = ()
    if kind.learns():
        if not request.tasks:
            raise UserError(f"say which fit of '{name}' to use: --task is missing, or say --fit")
        selection = select(registry, request)
        if len(selection.variants) * len(selection.tasks) != 1:
            raise UserError("one method and one task harmonise a scan; give their whole names")
        (planned,) = make_plan(registry, selection, home, progress).cells
        if planned.cell.skip is not None or planned.fit is None:
            raise UserError(f"no fit of {planned.cell.title}: {planned.cell.skip or planned.fault}")
        Runner(registry, home, torch.device(device), progress).fitted(planned)
        fit, cohort, target = (
            planned.fit.key,
            planned.cell.cohort,
            planned.fit.fit_data.target.domain,
        )
        normalized, standard = planned.fit.normalization, planned.fit.standard
        grid, config = planned.grid, planned.config
    else:
        if normalization(normalized).learns:
            raise UserError(f"'{name}' has no fit that '{normalized}' could take its standard from")
        if request.preset not in GRIDS:
            raise UserError.unknown("preset", request.preset, GRIDS)
        values = settings.parse(request.assignments).get(name, {})
        grid = GRIDS[request.preset]
        config = settings.apply(name, kind.preset(request.preset), values)
    return Harmonizer(
        method=name,
        code=code_version(kind),
        preset=request.preset,
        seed=request.seeds[0],
        grid=grid,
        settings=json.dumps(canonical(config)),
        fit=fit,
        target=target,
        task=request.tasks[0] if fit is not None else None,
        cohort=cohort,
        normalization=normalized,
        standard=standard,
        prepared=request.prepare_options.labels,
        plugins=plugins,
        home=home,
        device=device,
    )


def _single(job: HarmonizeJob, harmonizer: Harmonizer, progress: Progress) -> HarmonizedScan:
    from harmbench.harmonization.scan import harmonize_file, output_lock

    with output_lock(job.outputs.scan, harmonizer.home, progress):
        outcome = harmonize_file(job, harmonizer)
    if outcome.error is not None:
        raise BadScanError(outcome.error)
    if outcome.doubt is not None:
        progress.log(f"look at {job.path.name}: {outcome.doubt}")
    return outcome


def _folder(
    scan: Path,
    output: Path,
    harmonizer: Harmonizer,
    options: HarmonizeOptions,
    progress: Progress,
    *,
    figures: bool,
    jobs: int | None,
) -> int:
    from harmbench.harmonization.folder import describe, jobs_in
    from harmbench.harmonization.scan import finished_result, harmonize_file, output_lock
    from harmbench.util.processes import in_processes

    with output_lock(output, harmonizer.home, progress):
        scans = jobs_in(scan, output, harmonizer.home, options, figures=figures)
        describe(output, scan, harmonizer, force=options.force)
        # Here, so that no process is started where there is nothing to do.
        known = [(job, finished_result(job, harmonizer)) for job in scans]
        done = [(job, outcome) for job, outcome in known if outcome is not None]
        todo = [job for job, outcome in known if outcome is None]
        finished = in_processes(harmonize_file, todo, harmonizer, most=jobs)
        harmonized = there = 0
        outcomes = progress.track(chain(done, finished), "harmonising scans", len(scans))
        for job, outcome in outcomes:
            name = job.source.removeprefix("bids:raw:")
            if outcome.error is not None:
                progress.log(f"left out {name}: {outcome.error}")
                continue
            there += outcome.there
            harmonized += not outcome.there
            if not outcome.there:
                progress.log(f"harmonised {name}")
            if outcome.doubt is not None:
                progress.log(f"look at {name}: {outcome.doubt}")
    left_out = len(scans) - harmonized - there
    click.echo(
        f"{len(scans)} scans: {harmonized} harmonised, {there} there already, "
        f"{left_out} left out; in {output}"
    )
    return int(left_out > 0)
