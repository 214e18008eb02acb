"""`harmbench figure`: draw recorded results, or the figures of a method's paper from our data."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from harmbench.cli.listing import listing
from harmbench.cli.options import (
    CellChoice,
    cell_options,
    cohort_options,
    complete,
    device_option,
    discover,
    plugin_option,
    source_names,
)
from harmbench.cli.output_files import check_picture, written
from harmbench.errors import UserError
from harmbench.leaderboard.figure_names import RESULT_FIGURES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from harmbench.contracts.figure import PaperFigure
    from harmbench.data.cohort_request import CohortRequest
    from harmbench.plugins import Entry, Registry

_DPI = 150


@click.command()
@click.argument("name", required=False, shell_complete=complete("figures"))
@cell_options(
    method_help="Method to draw. Default: the figure's own.",
    task_help="Task whose scans or results are drawn. Default: one that suits the figure.",
)
@cohort_options
@device_option
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="PNG, PDF or SVG file to write. Default: NAME.png.",
)
@click.option(
    "--metric",
    metavar="NAME",
    help="Metric of a figure of results, or the name of a training curve. Default: the first "
    "headline, or the first curve.",
)
@click.option(
    "--base",
    metavar="NAME",
    help="Method that others are compared with in a figure of results. Default: the floor.",
)
@plugin_option
@click.pass_context
def figure(
    context: click.Context,
    name: str | None,
    choice: CellChoice,
    cohort: CohortRequest,
    device: str,
    output: Path | None,
    metric: str | None,
    base: str | None,
    plugin: tuple[Path, ...],
) -> None:
    """Draw the figure NAME of recorded results or of a method's paper; without NAME, list them.

    \b
    harmbench figure                               list the figures
    harmbench figure differences --task domain3 --metric psnr -o differences.pdf
    harmbench figure cost-scan -o cost.svg         the headline metric against the time per scan
    harmbench figure training --method unet        its training curve
    harmbench figure samples                       samples of the flow, as in Figure 1
    harmbench figure terms --task domain1          the two data terms, as in Figure 2
    harmbench figure samples --preset paper --device cuda -o samples.pdf

    Figures of results show the cohort that was run last or that of --cohort. The fit of a figure
    of a paper is shared with `harmbench run`, and made now if necessary; the title of the figure
    shows its cohort, preset and seed.
    """  # noqa: D301
    if name is None:
        context.invoke(
            listing, category="figures", cohort=cohort.name, recipe=cohort.recipe, plugin=plugin
        )
        click.echo("Of recorded results:")
        width = max(map(len, RESULT_FIGURES))
        for title, drawing in RESULT_FIGURES.items():
            click.echo(f"  {title:{width}}  {drawing.summary}")
        return
    registry = discover(plugin)
    output = output or Path(f"{name}.png")
    check_picture(output, "figure")
    if name in RESULT_FIGURES:
        _check_options(context, name)
        given = context.get_parameter_source("cohort") is ParameterSource.COMMANDLINE
        picture = _result_figure(
            registry, name, cohort.name if given else "*", choice, metric=metric, base=base
        )
    else:
        if metric is not None or base is not None:
            raise UserError(
                f"--{'base' if metric is None else 'metric'} is of figures of results: "
                f"{', '.join(RESULT_FIGURES)}"
            )
        picture = _paper_figure(registry, name, choice, cohort, device)
    with written(output):
        picture.savefig(output, dpi=_DPI)
    click.echo(f"wrote {output}")


def _check_options(context: click.Context, name: str) -> None:
    """Refuse an option that a figure of recorded results does not have."""
    allowed = (*RESULT_FIGURES[name].options, "cohort")
    for parameter in context.command.params:
        key = parameter.name or ""
        given = context.get_parameter_source(key) is ParameterSource.COMMANDLINE
        if given and key not in (*allowed, "name", "output", "plugin"):
            options = ", ".join(f"--{option}" for option in allowed)
            raise UserError(f"the figure '{name}' has no {parameter.opts[-1]}; it has {options}")


def _result_figure(
    registry: Registry,
    name: str,
    cohort: str,
    choice: CellChoice,
    *,
    metric: str | None,
    base: str | None,
) -> Figure:
    """Draw a figure of recorded results."""
    from harmbench.api.results import results

    recorded = results(registry=registry).on_cohort(cohort)
    return recorded.figure(name, task=choice.task, metric=metric, base=base, method=choice.method)


def _paper_figure(
    registry: Registry, name: str, choice: CellChoice, cohort: CohortRequest, device: str
) -> Figure:
    """Draw a figure that a plugin registers."""
    entry = registry.entry("figures", name)

    from rich.console import Console

    from harmbench.execution.compute.paper_figure import draw_figure
    from harmbench.execution.plan.selection import select
    from harmbench.util.device import resolve
    from harmbench.util.home import writable_home
    from harmbench.util.progress_bars import shown

    drawing = _drawing(entry)
    choice = _completed(choice, drawing, registry, source_names(registry, cohort))
    chosen, home = resolve(device), writable_home()
    selection = select(registry, choice.request(cohort))
    with shown(Console(stderr=True)) as progress:
        return draw_figure(registry, drawing, selection, home, chosen, progress)


def _drawing(entry: Entry) -> PaperFigure:
    from harmbench.contracts.figure import PaperFigure

    drawing = entry.build()
    if not isinstance(drawing, PaperFigure):
        raise UserError(f"the plugin registers '{entry.name}' as a figure; it is no PaperFigure")
    return drawing


def _completed(
    choice: CellChoice, drawing: PaperFigure, registry: Registry, sources: tuple[str, ...]
) -> CellChoice:
    """Return the choice with the figure's default method, and its first task in the cohort."""
    method = choice.method or drawing.method
    if method is None:
        raise UserError(f"missing --method: the figure '{drawing.name}' has no default")
    available = registry.entries("tasks", sources)
    defaults = (task for task in drawing.tasks if task in available)
    task = choice.task or next(defaults, None)
    if task is None:
        raise UserError(
            f"missing --task: the cohort has no default for the figure '{drawing.name}'"
        )
    return dataclasses.replace(choice, method=method, task=task)
