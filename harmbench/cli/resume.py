"""`harmbench resume`: continue an interrupted run."""

from __future__ import annotations

import os

import click

from harmbench.cli.options import discover


@click.command()
def resume() -> int:
    """Continue the last interrupted run, with its options.

    Finished cells are taken from the store; training resumes at its last checkpoint. Exit
    codes are those of `harmbench run`.
    """
    from harmbench.cli.run_cells import compute, summary_line
    from harmbench.execution.plan.selection import select
    from harmbench.execution.schedule.executors.options import ExecutorOptions
    from harmbench.execution.schedule.invocation import last_unfinished
    from harmbench.util.home import writable_home

    home = writable_home()
    with last_unfinished(home) as (invocation, executor):
        # Relative paths in its options refer to the directory that it was started in.
        os.chdir(invocation.directory)
        options = invocation.options
        registry = discover(options.plugins)
        click.echo(f"resuming {invocation.folder.name}", err=True)
        summary = compute(
            registry,
            select(registry, options.request),
            home,
            options,
            ExecutorOptions.from_json(executor),
            invocation,
        )
    click.echo(summary_line(summary))
    return int(summary.failed)
