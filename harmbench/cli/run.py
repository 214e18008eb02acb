"""`harmbench run`: every method on every task, recorded in MLflow."""

from __future__ import annotations

from pathlib import Path

import click

from harmbench.cli.options import (
    cohort_option,
    device_option,
    discover,
    dry_run_option,
    method_option,
    normalize_option,
    plugin_option,
    preset_option,
    recipe_option,
    seeds_option,
    set_option,
    task_option,
)
from harmbench.errors import UserError


@click.command()
@method_option
@task_option
@cohort_option
@recipe_option
@normalize_option
@preset_option
@seeds_option
@device_option
@set_option
@dry_run_option
@plugin_option
def run(
    methods: tuple[str, ...],
    tasks: tuple[str, ...],
    cohort: str,
    recipe: Path | None,
    normalize: str,
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

    from harmbench.cli.cells import compute, foresee
    from harmbench.home import writable_home
    from harmbench.run.device import resolve
    from harmbench.run.plan import Request, select

    chosen, home = resolve(device), writable_home()
    request = Request(
        methods, tasks, cohort, recipe, preset, seeds, assignments, normalize=normalize
    )
    selection = select(registry, request)
    if dry_run:
        foresee(registry, selection, home, chosen)
        return 0
    outcome = compute(registry, selection, home, chosen)
    click.echo(outcome.summary)
    return outcome.code
