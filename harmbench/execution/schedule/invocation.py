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
    """A run, from its first cell to its last.

    Attributes
    ----------
    folder
        Contains `options.json`, the `logs` of its jobs, and `ended` after the end of the run.
    options
        The options of the run.
    directory
        Current directory when the run began; relative paths of the options refer to it.
    """

    folder: Path
    options: RunOptions = field(repr=False)
    directory: Path = field(repr=False)

    @classmethod
    @contextlib.contextmanager
    def begin(
        cls, home: Path, options: RunOptions, executor: dict[str, object]
    ) -> Iterator[Invocation]:
        """Begin a new run, which no other process can compute before this context ends.

        Parameters
        ----------
        home
            Folder of the stores.
        options
            The options of the run.
        executor
            The options of its executor, as JSON types.
        """
        folder = home / "runs" / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
        folder.mkdir(parents=True, exist_ok=True)
        directory = Path.cwd()
        content = {"options": options.to_json(), "executor": executor, "directory": str(directory)}
        # The lock first: a run with options and without a lock was interrupted.
        with _lock_of(folder):
            atomic_write_bytes(folder / "options.json", json.dumps(content).encode())
            yield cls(folder, options, directory)

    @property
    def home(self) -> Path:
        """Folder of the stores."""
        return self.folder.parents[1]

    @property
    def logs(self) -> Path:
        """Folder for a log file of each job."""
        return self.folder / "logs"

    def end(self) -> None:
        """Mark the run as ended: every cell has a result."""
        (self.folder / ENDED).touch()


@contextlib.contextmanager
def last_unfinished(home: Path) -> Iterator[tuple[Invocation, dict[str, object]]]:
    """Hold the newest run that has not ended and that no process is computing.

    No other process can compute it before this context ends.

    Yields
    ------
    tuple
        The run, and the options of its executor as JSON types.

    Raises
    ------
    UserError
        If no run was interrupted, another process is computing it, or its options cannot be read.
    """
    computed = []
    for path in sorted((home / "runs").glob("*/options.json"), reverse=True):
        folder = path.parent
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(_lock_of(folder))
            except Timeout:
                computed.append(folder.name)
                continue
            # Asked with the lock, since another process may just have ended the run.
            if has_ended(folder):
                continue
            yield _read(path)
            return
    if computed:
        raise UserError(
            f"run {computed[0]} is being computed by another process, and no other run was "
            "interrupted"
        )
    raise UserError("no run was interrupted; `harmbench run` starts one")


def _read(path: Path) -> tuple[Invocation, dict[str, object]]:
    """Return the run of a file of options, and the options of its executor."""
    try:
        content = json.loads(path.read_text())
        options = RunOptions.from_json(content["options"])
        return Invocation(path.parent, options, Path(content["directory"])), content["executor"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"the options of the interrupted run {path} cannot be read "
            f"({type(error).__name__}: {error}): the file is damaged, or another version of "
            "harmbench wrote it. Repeat the command of the run, or remove its folder"
        ) from error


def _lock_of(folder: Path) -> FileLock:
    """Return the lock of a run, which the process that computes it holds."""
    return FileLock(folder / ".lock", blocking=False)
