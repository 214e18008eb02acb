"""Run a command to its end: output to the log, a time limit, no process left behind."""

from __future__ import annotations

import collections
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from harmbench.external import supervisor

LOG = logging.getLogger("harmbench.command")
LOG.setLevel(logging.INFO)  # as the log of a job records it; by default nothing is shown
_MOST_CHARACTERS = 300  # of the last line, in an error
_LINE = 4096  # characters of a line without an end
# After the command has ended, its output is complete; a process that left the group may hold it.
_OUTPUT_SECONDS = 5.0


class CommandFault(Exception):  # noqa: N818 - becomes an error with the scan that it concerns
    """A command failed; carries the reason in one line."""


def run_command(
    command: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    timeout: float,
    removed: Sequence[Path] = (),
) -> None:
    """Run a command; each line of its output is a message of the logger `harmbench.command`.

    The command runs in its own process group. The group is terminated at the time limit, when an
    exception ends this function, and when this process ends, even if it is killed.

    Parameters
    ----------
    command
        Program and arguments.
    folder
        Its current directory.
    environment
        All its environment variables.
    timeout
        In seconds.
    removed
        Folders to remove if this process is killed.

    Raises
    ------
    CommandFault
        If the command cannot be started, does not end in time, or ends with another exit code
        than zero.
    """
    LOG.info("running %s", " ".join(command))
    process = _supervised(command, folder, environment, removed)
    last: collections.deque[str] = collections.deque(maxlen=1)
    reader = threading.Thread(target=_log_lines, args=(process.stdout, last), daemon=True)
    reader.start()
    try:
        code = process.wait(timeout)
    except subprocess.TimeoutExpired:
        _stop(process)
        reader.join(_OUTPUT_SECONDS)
        raise CommandFault(
            f"the command did not end within its timeout of {timeout:g} s; {_last(last)}"
        ) from None
    except BaseException:
        _stop(process)
        raise
    reader.join(_OUTPUT_SECONDS)
    assert process.stdin is not None
    process.stdin.close()
    if code > 128:
        cause = " (possibly out of memory)" if code == 137 else ""
        raise CommandFault(f"the command was killed by signal {code - 128}{cause}; {_last(last)}")
    if code != 0:
        raise CommandFault(f"the command ended with exit code {code}; {_last(last)}")


def _supervised(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], removed: Sequence[Path]
) -> subprocess.Popen[str]:
    """Start a command under the supervisor, which ends its group when this process ends."""
    folders = os.pathsep.join(map(str, removed))
    return subprocess.Popen(
        # Isolated, so that it starts in milliseconds and the command's variables do not matter.
        [sys.executable, "-I", "-S", supervisor.__file__, folders, *command],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )


def _stop(process: subprocess.Popen[str]) -> None:
    """Terminate the command, and wait until its last process has ended."""
    assert process.stdin is not None
    try:
        process.stdin.write("stop")
        process.stdin.close()
    except OSError:
        pass  # it has just ended by itself
    process.wait()


def _log_lines(stream: IO[str] | None, last: collections.deque[str]) -> None:
    assert stream is not None
    for line in iter(lambda: stream.readline(_LINE), ""):
        text = line.rstrip()
        if text:
            LOG.info("%s", text)
            last.append(text)
    stream.close()


def _last(lines: Sequence[str]) -> str:
    if not lines:
        return "it printed nothing"
    return f"its last line: {lines[-1].strip()[-_MOST_CHARACTERS:]}"
