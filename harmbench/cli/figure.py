"""`harmbench figure`: the figures of a method's paper, drawn of ours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harmbench.cli.listing import listing
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
    source_names,
)
from harmbench.cli.output_files import check_picture, written
from harmbench.errors import UserError

if TYPE_CHECKING:
    import torch
    from matplotlib.figure import Figure

    from harmbench.contracts.figure import PaperFigure
    from harmbench.data.prepare_options import PrepareOptions
    from harmbench.execution.plan.selection import Selection
    from harmbench.plugins import Registry

_DPI = 150


@click.command()
@click.argument("name", required=False, shell_complete=complete("figures"))
@click.option(
    "-m", "--method", metavar="NAME", shell_complete=complete("methods"),
    help="Method to draw; by default the one that the figure is of.",
)  # fmt: skip
@click.option(
    "-t", "--task", metavar="NAME", shell_complete=complete("tasks"),
    help="Task whose scans are drawn; by default one that suits the figure.",
)  # fmt: skip
@cohort_option
@recipe_option
@normalize_option
@preparing_options
@preset_option
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Base seed.")
@device_option
@set_option
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="PNG, PDF or SVG file to write. Default: NAME.png.",
)  # fmt: skip
@plugin_option
@click.pass_context
def figure(
    context: click.Context,
    name: str | None,
    method: str | None,
    task: str | None,
    cohort: str,
    recipe: Path | None,
    normalize: str,
    prepare_options: PrepareOptions,
    preset: str,
    seed: int,
    device: str,
    assignments: tuple[str, ...],
    output: Path | None,
    plugin: tuple[Path, ...],
) -> None:
    """Draw the figure NAME; without a NAME, list the figures there are.

    \b
    harmbench figure                               what there is
    harmbench figure samples                       draws from the flow, as in Figure 1
    harmbench figure terms --task domain1          what the two data terms see, as in Figure 2
    harmbench figure samples --preset paper --device cuda -o samples.pdf

    A fit that is needed is shared with `harmbench run` and made only if it is not there
    yet. Every figure says which cohort, preset and seed it is of.
    """  # noqa: D301
    if name is None:
        context.invoke(listing, kind="figures", cohort=cohort, recipe=recipe, plugin=plugin)
        return
    registry = discover(plugin)
    entry = registry.entry("figures", name)
    output = output or Path(f"{name}.png")
    check_picture(output, "figure")

    from harmbench.contracts.figure import PaperFigure
    from harmbench.execution.plan.request import Request
    from harmbench.execution.plan.selection import select
    from harmbench.util.device import resolve
    from harmbench.util.home import writable_home

    drawing = entry.build()
    if not isinstance(drawing, PaperFigure):
        raise UserError(f"what is registered as the figure '{name}' is no PaperFigure")
    method = method or drawing.method
    if method is None:
        raise UserError(f"say what to draw '{name}' of: --method is missing")
    task = task or _task(registry, drawing, source_names(registry, cohort, recipe))
    chosen, home = resolve(device), writable_home()
    request = Request(
        [method], [task], cohort, recipe, preset, (seed,), assignments,
        normalize=normalize, prepare_options=prepare_options,
    )  # fmt: skip
    selection = select(registry, request)
    if len(selection.variants) * len(selection.tasks) != 1:
        raise UserError("a figure is drawn of one method and one task; give their whole names")
    picture = _drawn(registry, drawing, selection, home, chosen)
    with written(output):
        picture.savefig(output, dpi=_DPI)
    click.echo(f"wrote {output}")


def _task(registry: Registry, drawing: PaperFigure, sources: tuple[str, ...]) -> str:
    """Return the first of the figure's tasks that the cohort has."""
    known = registry.entries("tasks", sources)
    for task in drawing.tasks:
        if task in known:
            return task
    raise UserError(f"say what to draw '{drawing.name}' of: --task is missing")


def _drawn(
    registry: Registry, drawing: PaperFigure, selection: Selection, home: Path, device: torch.device
) -> Figure:
    import torch
    from rich.console import Console

    from harmbench.cli.progress_bars import shown
    from harmbench.contracts.figure import FigureContext
    from harmbench.execution.compute.runner import Runner
    from harmbench.execution.plan.plan import make_plan
    from harmbench.util.seeds import seeded

    with shown(Console(stderr=True)) as progress:
        registry.on_error = lambda line: progress.log(f"warning: {line}")
        plan = make_plan(registry, selection, home, progress)
        (planned,) = plan.cells
        cell, data = planned.cell, planned.data
        if cell.skip is not None or data is None:
            raise UserError(f"no figure of {cell.title}: {cell.skip or planned.fault}")
        runner = Runner(registry, home, device, progress)
        context = FigureContext(
            cell=cell,
            method=planned.method,
            config=planned.config,
            cohort=plan.cohort,
            data=data,
            fitted=lambda: runner.fitted(planned),
            t2_weighted=lambda subject: selection.source.t2_weighted(subject, selection.grid),
            progress=progress,
        )
        with torch.no_grad(), seeded(cell.seed, "figure", drawing.name):
            return drawing.draw(context)
