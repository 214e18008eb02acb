"""`harmbench resume` and `harmbench sync`: going on with what was interrupted."""

from __future__ import annotations

import click

from harmbench.cli.options import discover


@click.command()
def resume() -> int:
    """Go on with the last run that was interrupted, in the way it was begun.

    Finished cells are taken from the store, and a training goes on from its checkpoint. Exit
    code as of `run`.
    """
    from harmbench.cli.cells import compute
    from harmbench.home import writable_home
    from harmbench.run.executors.choice import Choice
    from harmbench.run.invocation import last_unfinished
    from harmbench.run.plan import select

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
        Choice.from_json(executor),
        invocation,
    )
    click.echo(outcome.summary)
    return outcome.code


@click.command()
def sync() -> int:
    """Record in MLflow what it could not take while cells were run.

    Exit code 1 if it still does not answer.
    """
    from harmbench.home import writable_home
    from harmbench.tracking.outbox import Outbox
    from harmbench.tracking.recorder import MlflowRecorder, command_line

    recorder = MlflowRecorder(command_line())
    outbox = Outbox(
        writable_home(), recorder, lambda line: click.echo(f"warning: {line}", err=True)
    )
    outbox.send_all()
    recorder.close(failed=False)
    left = outbox.waiting()
    click.echo(f"{recorder.recorded} recorded in MLflow, {left} waiting")
    return int(left > 0)
