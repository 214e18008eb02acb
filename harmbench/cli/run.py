"""`harmbench run`: run methods on tasks, and record the results in MLflow."""

from __future__ import annotations

from typing import Any

import click
from click.core import ParameterSource

from harmbench.cli.options import (
    cohort_option,
    device_option,
    discover,
    dry_run_option,
    executor_options,
    method_option,
    normalize_option,
    plugin_option,
    prepared_by,
    preparing_options,
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
@click.option("--all", "everything", is_flag=True, help="All methods on all tasks.")
@click.option(
    "--suite",
    metavar="NAME|FILE",
    help="Built-in suite (quick or paper) or TOML file that lists what to run. Command-line "
    "options override the suite.",
)
@cohort_option
@recipe_option
@normalize_option
@preparing_options
@preset_option
@seeds_option
@device_option
@set_option
@executor_options
@dry_run_option
@plugin_option
@click.pass_context
def run(context: click.Context, /, **_: Any) -> int:
    """Run every METHOD on every TASK, and record the results.

    \b
    harmbench run --method blindharmony --task domain3
    harmbench run -m identity -m histogram -t 'sim-*' --seed 0 --seed 1
    harmbench run --all --dry-run
    harmbench run --suite paper --cohort oasis3:/data/OASIS3 --executor slurm --partition gpu
    harmbench run -m '*' -t 'site-*' --cohort bids:/data/study --recipe study.toml
    harmbench run -m blindharmony -t sim-exp --set blindharmony.alpha=0

    A cell is one method on one task with one seed. Cells that share a fit share its cost.
    Results computed before are taken from the store. After an interruption, run the same
    command again, or `harmbench resume`. Each cell writes a log to $HARMBENCH_HOME/runs.

    Exit code 0 if all cells are done, cached or skipped, 1 if a cell failed or diverged, 2 for
    a usage error.
    """  # noqa: D301
    given = _given(context)
    if given["everything"]:
        given["methods"] = given["methods"] or ("*",)
        given["tasks"] = given["tasks"] or ("*",)
    for name in ("methods", "tasks"):
        if not given[name]:
            raise UserError(
                f"missing --{name.removesuffix('s')} (or use --all or --suite; "
                "see `harmbench list`)"
            )
    registry = discover(given["plugin"])

    from harmbench.cli.run_cells import compute, print_forecast, summary_line
    from harmbench.execution.plan.request import Request
    from harmbench.execution.plan.selection import select
    from harmbench.execution.schedule.executors.options import ExecutorOptions
    from harmbench.execution.schedule.executors.submitted import Resources
    from harmbench.execution.schedule.run_options import RunOptions
    from harmbench.util.home import writable_home

    home = writable_home()
    request = Request(
        given["methods"],
        given["tasks"],
        given["cohort"],
        given["recipe"],
        given["preset"],
        given["seeds"],
        given["assignments"],
        normalize=given["normalize"],
        prepare_options=prepared_by(given),
    )
    options = RunOptions(
        request,
        tuple(path.resolve() for path in given["plugin"]),
        given["device"],
        given["threads"],
        given["deterministic"],
        given["max_memory"],
    )
    resources = Resources(
        given["partition"], given["minutes"], given["memory"], given["cpus"], given["gpus"]
    )
    selection = select(registry, request)
    if given["dry_run"]:
        print_forecast(registry, selection, home, options)
        return 0
    executor_options = ExecutorOptions(given["executor"], given["workers"], resources)
    summary = compute(registry, selection, home, options, executor_options)
    click.echo(summary_line(summary))
    return int(summary.failed)


def _given(context: click.Context) -> dict[str, Any]:
    """Return the options, where a suite overrides defaults."""
    given = dict(context.params)
    if given["suite"] is None:
        return given
    from harmbench.execution.plan.suite import read_suite

    for key, value in read_suite(given["suite"]).items():
        name = "assignments" if key == "set" else key
        if context.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            given[name] = value
    return given
