"""Files that are never seen half written, and work that one process does at a time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from harmbench.util.progress import Progress


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Open a file to be written under another name, and give it its own once it is on the disk.

    A kill at any moment leaves the new file or the old one. Its folder is made if need be.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    writing = path.with_name(f".{path.name}.part")
    try:
        with writing.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        writing.replace(path)
    finally:
        writing.unlink(missing_ok=True)


def atomic_write_bytes(path: Path, content: bytes) -> None:
    """Write a file as `atomic_write` does."""
    with atomic_write(path) as stream:
        stream.write(content)


@contextlib.contextmanager
def hold_lock(lock: Path, notice: str, progress: Progress) -> Iterator[None]:
    """Wait until no other process holds a lock, and hold it; the system frees a killed one's.

    Parameters
    ----------
    lock
        File to lock. Its folder is made if need be.
    notice
        What is said before there is any waiting.
    progress
        Where it is said.
    """
    from filelock import FileLock, Timeout

    lock.parent.mkdir(parents=True, exist_ok=True)
    held = FileLock(lock)
    try:
        held.acquire(blocking=False)
    except Timeout:
        progress.log(notice)
        held.acquire()
    try:
        yield
    finally:
        held.release()
