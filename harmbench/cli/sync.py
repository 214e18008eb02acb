"""`harmbench sync`: record stored cells, and send waiting records to MLflow."""

from __future__ import annotations

import click

from harmbench.cli.wording import counted


@click.command()
def sync() -> int:
    """Record stored cells that have no record, and send waiting records to MLflow.

    Records wait while MLflow does not answer. A stored cell has no record if the run was killed
    at that moment, or if the results store was lost. Exit code 1 if records are still waiting.
    """
    from harmbench.store.provenance import command_line
    from harmbench.store.recovery import unrecorded
    from harmbench.store.results import ResultsStore
    from harmbench.tracking.outbox import Outbox
    from harmbench.tracking.recorder import MlflowRecorder
    from harmbench.util.home import writable_home

    home = writable_home()
    recorder = MlflowRecorder(home, command_line())
    outbox = Outbox(home, recorder, lambda line: click.echo(f"warning: {line}", err=True))
    recovered, failed = 0, True
    try:
        outbox.send_all()
        with ResultsStore(home / "results").writer("") as writer:
            for cell, result, ended in unrecorded(home):
                outbox.after_cell(cell, writer.append(cell, result, ended))
                recovered += 1
        failed = False
    finally:
        outbox.close(failed=failed)
    waiting = outbox.waiting()
    if recovered:
        click.echo(f"{counted(recovered, 'stored cell')} had no record and now have one")
    click.echo(f"{counted(recorder.recorded, 'cell')} recorded in MLflow, {waiting} waiting")
    return int(waiting > 0)
