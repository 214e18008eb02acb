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
    def begin(cls, home: Path, options: RunOptions, executor: dict[str, object]) -> Invocation:
        """Write the options of a new run; `executor` contains its executor's, as JSON types."""
        folder = home / "runs" / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
        folder.mkdir(parents=True, exist_ok=True)
        directory = Path.cwd()
        content = {"options": options.to_json(), "executor": executor, "directory": str(directory)}
        atomic_write_bytes(folder / "options.json", json.dumps(content).encode())
        return cls(folder, options, directory)

    @property
    def home(self) -> Path:
        """Folder of the stores."""
        return self.folder.parents[1]

    @property
    def logs(self) -> Path:
        """Folder for a log file of each job."""
        return self.folder / "logs"

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Mark the run as running in this process."""
        with FileLock(self.folder / ".lock"):
            yield

    def end(self) -> None:
        """Mark the run as ended: every cell has a result."""
        (self.folder / ENDED).touch()


def last_unfinished(home: Path) -> tuple[Invocation, dict[str, object]]:
    """Return the newest run that has not ended and that no process is computing.

    Returns
    -------
    tuple
        The run, and the options of its executor as JSON types.

    Raises
    ------
    UserError
        If no run was interrupted.
    """
    for path in sorted((home / "runs").glob("*/options.json"), reverse=True):
        folder = path.parent
        if has_ended(folder):
            continue
        try:
            with FileLock(folder / ".lock", blocking=False):
                content = json.loads(path.read_text())
        except Timeout:
            continue
        options = RunOptions.from_json(content["options"])
        return Invocation(folder, options, Path(content["directory"])), content["executor"]
    raise UserError("no run was interrupted; `harmbench run` starts one")
