"""Run one command in its own process group, and end the group when the parent process ends.

A script of the standard library alone: `python supervisor.py FOLDERS COMMAND...`. The parent holds
the writing end of the standard input. At its end the whole group is terminated. If the
parent did not write a byte before, it was killed, and FOLDERS (separated by `os.pathsep`) are
removed too, since no other process can remove them. The exit code is the command's, or 128 plus
the signal.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

# The time for a program to end by itself: a client of Docker must stop its container.
_GRACE_SECONDS = 5.0
_CANNOT_START = 127


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _end_with_parent(
    process: subprocess.Popen[bytes], folders: list[str], ending: threading.Event
) -> None:
    orphaned = not sys.stdin.buffer.read()
    ending.set()
    _signal_group(process, signal.SIGTERM)
    end = time.monotonic() + _GRACE_SECONDS
    while process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    _signal_group(process, signal.SIGKILL)
    process.wait()
    if orphaned:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
    os._exit(128 + signal.SIGTERM)


def main() -> None:
    """Run the command of the command line."""
    # Ctrl-C in a terminal is for the parent; it ends this process by closing the pipe.
    os.setsid()
    folders, *command = sys.argv[1:]
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        sys.stderr.write(f"'{command[0]}' cannot be started: {error.strerror}\n")
        sys.exit(_CANNOT_START)
    ending = threading.Event()
    paths = [path for path in folders.split(os.pathsep) if path]
    watcher = threading.Thread(target=_end_with_parent, args=(process, paths, ending), daemon=True)
    watcher.start()
    code = process.wait()
    if ending.is_set():
        watcher.join()
    # Processes that the command left behind would keep its files and its output open.
    _signal_group(process, signal.SIGKILL)
    os._exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
