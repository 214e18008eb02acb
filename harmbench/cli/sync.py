"""`harmbench sync`: send waiting records to MLflow."""

from __future__ import annotations

import click

from harmbench.cli.wording import counted


@click.command()
def sync() -> int:
    """Send records to MLflow that are waiting because it did not answer.

    Exit code 1 if records are still waiting.
    """
    from harmbench.store.provenance import command_line
    from harmbench.tracking.outbox import Outbox
    from harmbench.tracking.recorder import MlflowRecorder
    from harmbench.util.home import writable_home

    home = writable_home()
    recorder = MlflowRecorder(home, command_line())
    outbox = Outbox(home, recorder, lambda line: click.echo(f"warning: {line}", err=True))
    outbox.send_all()
    recorder.close(failed=False)
    waiting = outbox.waiting()
    click.echo(f"{counted(recorder.recorded, 'cell')} recorded in MLflow, {waiting} waiting")
    return int(waiting > 0)
