"""Records of runs, so that an interrupted run can be resumed."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from harmbench.errors import UserError
from harmbench.execution.schedule.run_options import RunOptions
from harmbench.store.run_folder import ENDED, has_ended
from harmbench.util.files import atomic_write_bytes


@dataclass(frozen=True)
class Invocation:
    """One matrix, from its order to its end.

    Attributes
    ----------
    folder
        Holds `order.json`, the `logs` of its works, and `ended` when it has.
    """

    folder: Path
    order: RunOptions = field(repr=False)

    @classmethod
    def begin(cls, home: Path, order: RunOptions, executor: dict[str, object]) -> Invocation:
        """Write an order down; `executor` says how it is computed, as JSON types."""
        folder = home / "runs" / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
        folder.mkdir(parents=True, exist_ok=True)
        # Paths in the order may be relative to where it was given.
        content = {"order": order.to_json(), "executor": executor, "directory": str(Path.cwd())}
        atomic_write_bytes(folder / "order.json", json.dumps(content).encode())
        return cls(folder, order)

    @property
    def logs(self) -> Path:
        """Folder for a log file of each work."""
        return self.folder / "logs"

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Say that this process is at it."""
        with FileLock(self.folder / ".lock"):
            yield

    def end(self) -> None:
        """Say that every cell has ended, in whatever way."""
        (self.folder / ENDED).touch()


def last_unfinished(home: Path) -> tuple[Invocation, dict[str, object]]:
    """Return the newest invocation that has not ended and that no process is at.

    The current folder becomes the one that it was begun in.

    Returns
    -------
    tuple
        The invocation, and how it was computed.

    Raises
    ------
    UserError
        If there is none.
    """
    for path in sorted((home / "runs").glob("*/order.json"), reverse=True):
        folder = path.parent
        if has_ended(folder):
            continue
        try:
            with FileLock(folder / ".lock", blocking=False):
                content = json.loads(path.read_text())
        except Timeout:
            continue
        os.chdir(content["directory"])
        return Invocation(folder, RunOptions.from_json(content["order"])), content["executor"]
    raise UserError("there is no run that was interrupted; `harmbench run` begins one")
