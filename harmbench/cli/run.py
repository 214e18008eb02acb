"""`harmbench run`: every method on every task, recorded in MLflow."""

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
@click.option("--all", "everything", is_flag=True, help="Every method on every task there is.")
@click.option(
    "--suite", metavar="NAME|FILE",
    help="TOML file that says what to run, or one that is shipped: quick or paper. Options "
    "that are given besides go before what it says.",
)  # fmt: skip
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

    Fits that several cells share are made once, and first. What was computed before is
    taken from the store; a run that was interrupted goes on with the same command, or with
    `harmbench resume`. Each cell keeps a log in $HARMBENCH_HOME/runs. Exit code 0 if every
    cell ended done, cached or skipped, 1 if one failed or diverged, 2 for a mistake in the
    command.
    """  # noqa: D301
    given = _given(context)
    if given["everything"]:
        given["methods"] = given["methods"] or ("*",)
        given["tasks"] = given["tasks"] or ("*",)
    for name in ("methods", "tasks"):
        if not given[name]:
            raise UserError(
                f"say what to run: --{name.removesuffix('s')} is missing; or --all, or --suite "
                "(see `harmbench list`)"
            )
    registry = discover(given["plugin"])

    from harmbench.cli.run_cells import compute, foresee
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
    order = RunOptions(
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
        foresee(registry, selection, home, order)
        return 0
    choice = ExecutorOptions(given["executor"], given["workers"], resources)
    outcome = compute(registry, selection, home, order, choice)
    click.echo(outcome.summary)
    return outcome.code


def _given(context: click.Context) -> dict[str, Any]:
    """Return the options, with what a suite says in place of defaults."""
    given = dict(context.params)
    if given["suite"] is None:
        return given
    from harmbench.execution.plan.suite import read_suite

    for key, value in read_suite(given["suite"]).items():
        name = "assignments" if key == "set" else key
        if context.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            given[name] = value
    return given
