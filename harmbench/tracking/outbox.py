"""Records waiting to be sent to MLflow; survives crashes and server downtime."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from filelock import FileLock

from harmbench.contracts.cell import Cell, CellResult, Status
from harmbench.execution.compute.job_result import JobResult
from harmbench.hookspecs import hookimpl
from harmbench.store.stores import CellStore
from harmbench.tracking.mirrored import MirroredCells
from harmbench.tracking.recorder import MlflowRecorder, RunIdentity
from harmbench.util.files import atomic_write_bytes
from harmbench.util.hashing import digest

# Pause after a failed attempt, since each one takes seconds.
_PAUSE_SECONDS = 60.0
# A cell, its result, and the command line that recorded it.
_Waiting = tuple[Cell, CellResult | None, str]


class Outbox:
    """Mirrors recorded cells in MLflow, at once or as soon as it answers again.

    A record is written to the outbox before it is sent, and deleted when MLflow has accepted
    it. So a kill or a server that is down delays a record, but never loses it. Several processes
    may share a folder.

    MLflow waits for the disk or for its server; a thread does so while the next cell is computed.
    It has one record at a time: where MLflow is slower than the cells, results do not fill the
    memory.

    Parameters
    ----------
    home
        Folder of the stores; the outbox is its folder `outbox`.
    recorder
        Sends the records.
    on_delay
        Receives the reason when a record could not be sent.
    """

    def __init__(
        self, home: Path, recorder: MlflowRecorder, on_delay: Callable[[str], None]
    ) -> None:
        self._folder = home / "outbox"
        self._cells = CellStore(home / "cells")
        self._recorder = recorder
        self._mirrored = MirroredCells(home)
        self._on_delay = on_delay
        self._paused_until = 0.0
        self._sender = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mlflow")
        self._sending: Future[None] | None = None

    @hookimpl
    def after_cell(self, cell: Cell, result: CellResult) -> None:
        """Write the record of a cell that MLflow lacks, and send it if MLflow answers."""
        self.flush()
        if self._mirrored.has(_entry(cell, result)):
            return
        path = self._write(cell, result)
        waiting = (cell, result, self._recorder.command)
        if self._recorder.connected:
            self._sending = self._sender.submit(self._send, path, lambda: waiting)
        else:
            # MLflow is imported here: two threads that import at once can block each other.
            self._send(path, lambda: waiting)

    def flush(self) -> None:
        """Wait until the thread has sent its record, or has found that MLflow does not answer."""
        sending, self._sending = self._sending, None
        error = None if sending is None else sending.exception()
        if error is not None:
            self._on_delay(f"a record was not sent to MLflow, and is kept: {error}")

    def send_all(self) -> None:
        """Send all waiting records, oldest first; one that cannot be read is kept."""
        for path in self._entries():
            self._send(path, partial(self._read, path))

    def waiting(self) -> int:
        """Return the number of waiting records."""
        return len(self._entries())

    def close(self, *, failed: bool) -> None:
        """Send the last record, and end the MLflow run of this invocation, if there is one."""
        self.flush()
        self._sender.shutdown()
        if self._recorder.has_run:
            with FileLock(self._folder / ".lock"), self._mirrored.changing():
                self._recorder.close(failed=failed)

    def _entries(self) -> list[Path]:
        return sorted(self._folder.glob("[!.]*.json"))

    def _write(self, cell: Cell, result: CellResult) -> Path:
        outcome = JobResult(status=result.status, reason=result.reason)
        if result.folder is None:  # the store has no files of it
            outcome = JobResult(
                status=result.status, reason=result.reason, facts=result.facts, curves=result.curves
            )
        content = {
            "cell": asdict(cell),
            "outcome": outcome.to_json(),
            "record": result.record,
            "command": self._recorder.command,
        }
        path = self._folder / f"{time.time_ns()}-{uuid.uuid4().hex[:8]}.json"
        self._folder.mkdir(parents=True, exist_ok=True)
        atomic_write_bytes(path, json.dumps(content).encode())
        return path

    def _read(self, path: Path) -> _Waiting:
        """Read a record; the result is None if it was removed from the store.

        Raises
        ------
        OSError, ValueError, KeyError, TypeError
            If it is damaged, or if another version of harmbench wrote it.
        """
        content = json.loads(path.read_text())
        cell = Cell(**content["cell"])
        outcome = JobResult.from_json(content["outcome"])
        if outcome.status in (Status.DONE, Status.CACHED):
            result = self._cells.load(cell.key)
        else:
            result = outcome.failure()
        if result is not None:
            result = replace(result, status=outcome.status, record=content["record"])
        return cell, result, content["command"]

    def _send(self, path: Path, load: Callable[[], _Waiting]) -> None:
        if time.monotonic() < self._paused_until:
            return
        # One process at a time: two that find no run of the cell would both create one.
        with FileLock(self._folder / ".lock"):
            if not path.exists():
                return  # another process has sent it
            try:
                cell, result, command = load()
            except (OSError, ValueError, KeyError, TypeError) as error:
                self._on_delay(
                    f"the record {path} cannot be read ({type(error).__name__}: {error}), and is "
                    "kept: it is damaged, or another version of harmbench wrote it. Use that "
                    "version, or remove the file"
                )
                return
            try:
                if result is not None:
                    with self._mirrored.changing(_entry(cell, result)):
                        self._recorder.record(cell, result, command)
            except Exception as error:  # errors of networks, servers and databases vary
                self._paused_until = time.monotonic() + _PAUSE_SECONDS
                reason = " ".join(str(error).split())[:300]
                self._on_delay(
                    f"MLflow did not accept {cell.title}: {reason}. The record is kept, and sent "
                    "by the next run or by `harmbench sync`"
                )
                return
            path.unlink()


def _entry(cell: Cell, result: CellResult) -> str:
    return digest(RunIdentity.of(cell, result))
