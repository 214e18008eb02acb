"""`harmbench run`: every method on every task, recorded in MLflow."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harmbench.cli.options import (
    cohort_option,
    discover,
    method_option,
    plugin_option,
    recipe_option,
    task_option,
)
from harmbench.errors import UserError

if TYPE_CHECKING:
    from harmbench.run.cell import Cell, CellResult


@click.command()
@method_option
@task_option
@cohort_option
@recipe_option
@click.option("--preset", default="quick", show_default=True, metavar="quick|paper",
              help="Grid and settings: quick for two CPU cores, paper as published.")  # fmt: skip
@click.option("--seed", "seeds", type=click.IntRange(min=0), multiple=True, default=(0,),
              show_default=True, help="Base seed; may be repeated.")  # fmt: skip
@click.option("--device", default="auto", show_default=True, metavar="DEVICE",
              help="auto, cpu, cuda, cuda:N or mps.")  # fmt: skip
@click.option("--set", "assignments", multiple=True, metavar="METHOD.FIELD=VALUE",
              help="Change a setting, such as blindharmony.alpha=0; may be repeated.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Print what would be run, and run nothing.")
@plugin_option
def run(
    methods: tuple[str, ...],
    tasks: tuple[str, ...],
    cohort: str,
    recipe: Path | None,
    preset: str,
    seeds: tuple[int, ...],
    device: str,
    assignments: tuple[str, ...],
    dry_run: bool,
    plugin: tuple[Path, ...],
) -> int:
    """Run every METHOD on every TASK, and record the results.

    \b
    harmbench run --method blindharmony --task domain3
    harmbench run -m identity -m histogram -t 'sim-*' --seed 0 --seed 1
    harmbench run -m '*' -t 'site-*' --cohort bids:/data/study --recipe study.toml
    harmbench run -m blindharmony -t sim-exp --set blindharmony.alpha=0

    Methods that only need the target domain are fitted once for all tasks. What was
    computed before is taken from the store. Exit code 0 if every cell ended done, cached
    or skipped, 1 if one failed or diverged, 2 for a mistake in the command.
    """  # noqa: D301
    if not methods or not tasks:
        missing = "--method" if not methods else "--task"
        raise UserError(f"say what to run: {missing} is missing (see `harmbench list`)")
    registry = discover(plugin)

    from rich.console import Console

    from harmbench.cli.progress import shown
    from harmbench.home import writable_home
    from harmbench.plugins import Plugin
    from harmbench.run.device import resolve
    from harmbench.run.plan import Request, make_plan, select
    from harmbench.run.runner import Runner
    from harmbench.tracking import MlflowRecorder, command_line

    chosen = resolve(device)
    home = writable_home()
    request = Request(
        methods, tasks, cohort, recipe, preset, tuple(dict.fromkeys(seeds)), assignments
    )
    selection = select(registry, request)
    console = Console(stderr=True)
    out = Console(soft_wrap=True, highlight=False)
    recorder = MlflowRecorder(command_line())
    with shown(console) as progress:
        registry.on_error = lambda line: progress.log(f"warning: {line}")
        runner = Runner(registry, home, chosen, progress)
        if dry_run and not selection.is_prepared(home):
            count = len(selection.methods) * len(selection.tasks) * len(request.seeds)
            out.print(
                f"{count} cells to do, after preparing the cohort '{cohort}' ({preset} grid):"
            )
            for seed in request.seeds:
                for task in selection.tasks:
                    for method in selection.methods:
                        out.print(f"  to do    {method} on {task}, seed {seed}", markup=False)
            return 0
        plan = make_plan(registry, selection, home, progress)
        if dry_run:
            for job in plan.jobs:
                line = f"  {runner.planned(job).value:8} {job.cell.title}"
                out.print(line + (f": {job.cell.skip}" if job.cell.skip else ""), markup=False)
            return 0
        registry.add(Plugin("mlflow", "harmbench", "", "built in"), recorder)
        counts: Counter[str] = Counter()
        try:
            for job, result in runner.run(plan):
                counts[result.status.value] += 1
                progress.log(_line(job.cell, result))
        finally:
            bad = counts["failed"] + counts["diverged"]
            recorder.close(failed=bad > 0 or counts.total() < len(plan.jobs))
    summary = ", ".join(f"{count} {status}" for status, count in counts.items())
    out.print(f"{len(plan.jobs)} cells: {summary}; {recorder.recorded} newly recorded in MLflow")
    return 1 if bad else 0


def _line(cell: Cell, result: CellResult) -> str:
    """Say in a line how a cell ended."""
    line = f"{result.status.value:8} {cell.title}"
    if result.reason:
        return f"{line}: {result.reason}"
    shown = [name for name in ("psnr", "ssim", "wasserstein") if name in result.estimates]
    numbers = ", ".join(f"{name} {result.estimates[name].mean:.4g}" for name in shown)
    origin = ""
    if result.status.value == "cached":
        origin = " (cell and fit from the store)" if cell.fit_key else " (cell from the store)"
    elif cell.fit_key:
        seconds = result.facts["fit_seconds"]
        origin = " (fit from the store)" if result.fit_cached else f" (fitted in {seconds:.0f} s)"
    return f"{line}: {numbers}{origin}"
