"""The cells that MLflow has, listed in the home, so that a run without new ones needs no MLflow."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from harmbench.tracking.connection import store_file, tracking_uri
from harmbench.util.files import atomic_write_bytes
from harmbench.util.hashing import digest

# Of a sqlite file: the position and length of the counter of its transactions.
_COUNTER = slice(24, 28)


class MirroredCells:
    """A list of the cells that MLflow has.

    The list applies only to the state of MLflow's file in which harmbench left it. After a change
    by another program, such as a deleted run or a restored file, and with another store,
    the list is empty, and MLflow is asked again. A server has no such state, and is always asked.

    Several processes may share the list: the caller holds the outbox's lock when the list changes.

    Parameters
    ----------
    home
        Home folder; the list is its file `outbox/mirrored`, with a line for each change: a cell,
        or null, and the state of MLflow's file after the change.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._path = home / "outbox" / "mirrored"
        self._read: tuple[int, ...] = ()
        self._cells: set[str] = set()
        self._state: str | None = None

    def has(self, cell: str) -> bool:
        """Return whether MLflow surely has a cell; no lock is needed."""
        self._refresh()
        return cell in self._cells and self._state == _state(self._home)

    @contextlib.contextmanager
    def changing(self, cell: str | None = None) -> Iterator[None]:
        """Follow a change of MLflow's file, made in the block, and add a cell to the list.

        After an error in the block, the list no longer applies.
        """
        self._refresh()
        before = _state(self._home)
        continues = before is not None and before == self._state
        yield
        after = _state(self._home)
        if after is None:
            return
        line = json.dumps([cell, after]).encode() + b"\n"
        if continues:
            with self._path.open("ab") as stream:
                stream.write(line)
        else:
            atomic_write_bytes(self._path, line)
            self._cells = set()
        if cell is not None:
            self._cells.add(cell)
        self._state = after
        self._read = _identity(self._path)

    def _refresh(self) -> None:
        """Read the list again if another process changed it; a damaged list is empty."""
        identity = _identity(self._path)
        if identity == self._read:
            return
        self._read, self._cells, self._state = identity, set(), None
        with contextlib.suppress(OSError, ValueError, TypeError, IndexError):
            lines = [json.loads(line) for line in self._path.read_bytes().splitlines()]
            cells = {cell for cell, _ in lines if cell is not None}
            self._cells, self._state = cells, lines[-1][1]


def _identity(path: Path) -> tuple[int, ...]:
    """Return numbers that differ after a change of a file; none if it is missing."""
    with contextlib.suppress(FileNotFoundError):
        status = path.stat()
        return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    return ()


def _state(home: Path) -> str | None:
    """Return the state of MLflow's file; None if it is missing, or if the store is no file."""
    path = store_file(home)
    if path is None:
        return None
    try:
        with path.open("rb") as stream:
            counter = os.pread(stream.fileno(), _COUNTER.stop, 0)[_COUNTER].hex()
    except OSError:
        return None
    # New transactions of a file in WAL mode lie in a second file at first.
    log = path.with_name(f"{path.name}-wal")
    return digest(tracking_uri(home), _identity(path), counter, _identity(log))
