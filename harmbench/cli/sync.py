"""`harmbench sync`: send waiting records to MLflow."""

from __future__ import annotations

import click


@click.command()
def sync() -> int:
    """Record in MLflow what it could not take while cells were run.

    Exit code 1 if it still does not answer.
    """
    from harmbench.tracking.outbox import Outbox
    from harmbench.tracking.recorder import MlflowRecorder, command_line
    from harmbench.util.home import writable_home

    recorder = MlflowRecorder(command_line())
    outbox = Outbox(
        writable_home(), recorder, lambda line: click.echo(f"warning: {line}", err=True)
    )
    outbox.send_all()
    recorder.close(failed=False)
    left = outbox.waiting()
    click.echo(f"{recorder.recorded} recorded in MLflow, {left} waiting")
    return int(left > 0)
