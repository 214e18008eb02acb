"""`harmbench resume`: continue an interrupted run."""

from __future__ import annotations

import click

from harmbench.cli.options import discover


@click.command()
def resume() -> int:
    """Go on with the last run that was interrupted, in the way it was begun.

    Finished cells are taken from the store, and a training goes on from its checkpoint. Exit
    code as of `run`.
    """
    from harmbench.cli.run_cells import compute
    from harmbench.execution.plan.selection import select
    from harmbench.execution.schedule.executors.options import ExecutorOptions
    from harmbench.execution.schedule.invocation import last_unfinished
    from harmbench.util.home import writable_home

    home = writable_home()
    invocation, executor = last_unfinished(home)
    order = invocation.order
    registry = discover(order.plugins)
    click.echo(f"going on with {invocation.folder.name}", err=True)
    outcome = compute(
        registry,
        select(registry, order.request),
        home,
        order,
        ExecutorOptions.from_json(executor),
        invocation,
    )
    click.echo(outcome.summary)
    return outcome.code
