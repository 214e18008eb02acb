"""What is still to be recorded: kept until MLflow has taken it, whoever is killed or away."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from filelock import FileLock

from harmbench.contracts.cell import Cell, CellResult, Status
from harmbench.execution.compute.job_result import JobResult
from harmbench.hookspecs import hookimpl
from harmbench.store.stores import CellStore
from harmbench.tracking.recorder import MlflowRecorder
from harmbench.util.files import atomic_write_bytes

# A store that does not answer is left alone for so long: asking takes seconds each time.
_SECONDS_OF_PATIENCE = 60.0


class Outbox:
    """Records cells in MLflow, at once or as soon as it answers again.

    What has been computed is written down here before it is sent, and crossed out when it
    has arrived; so a kill, or a server that is down, delays a record and loses none. Several
    processes may share a folder.

    Parameters
    ----------
    home
        Folder of the stores; the outbox is its folder `outbox`.
    recorder
        What sends.
    on_delay
        Told why, when something could not be sent.
    """

    def __init__(
        self, home: Path, recorder: MlflowRecorder, on_delay: Callable[[str], None]
    ) -> None:
        self._folder = home / "outbox"
        self._cells = CellStore(home / "cells")
        self._recorder = recorder
        self._on_delay = on_delay
        self._away_until = 0.0

    @hookimpl
    def after_cell(self, cell: Cell, result: CellResult) -> None:
        """Write a cell down, and send it if MLflow answers."""
        self._send(self._write(cell, result))

    def send_all(self) -> None:
        """Send everything that lies here, oldest first."""
        for path in self._entries():
            self._send(path)

    def waiting(self) -> int:
        """Return how much lies here."""
        return len(self._entries())

    def _entries(self) -> list[Path]:
        return sorted(self._folder.glob("[!.]*.json"))

    def _write(self, cell: Cell, result: CellResult) -> Path:
        outcome = JobResult(result.status, result.reason)
        if result.folder is None:  # nothing of it is in the store
            outcome = JobResult(result.status, result.reason, result.facts, result.curves)
        content = {"cell": asdict(cell), "outcome": outcome.to_json()}
        path = self._folder / f"{time.time_ns()}-{uuid.uuid4().hex[:8]}.json"
        self._folder.mkdir(parents=True, exist_ok=True)
        atomic_write_bytes(path, json.dumps(content).encode())
        return path

    def _send(self, path: Path) -> None:
        if time.monotonic() < self._away_until:
            return
        # One at a time: two processes that find a cell missing would both record it.
        with FileLock(self._folder / ".lock"):
            try:
                content = json.loads(path.read_text())
            except FileNotFoundError:
                return  # another process sent it
            cell = Cell(**content["cell"])
            result = self._result(cell, JobResult.from_json(content["outcome"]))
            try:
                if result is not None:
                    self._recorder.record(cell, result, path.stem)
            except Exception as error:  # of a network, a server or a database: all may come
                self._away_until = time.monotonic() + _SECONDS_OF_PATIENCE
                reason = " ".join(str(error).split())[:200]
                self._on_delay(
                    f"MLflow did not take {cell.title}: {reason}. It is kept, and sent by the "
                    "next run or by `harmbench sync`"
                )
                return
            path.unlink()

    def _result(self, cell: Cell, outcome: JobResult) -> CellResult | None:
        """Return what a cell came to; None if it has gone from the store since."""
        if outcome.status not in (Status.DONE, Status.CACHED):
            return outcome.failure()
        stored = self._cells.load(cell.key)
        return None if stored is None else replace(stored, status=outcome.status)
