"""Atomic file writes and inter-process locks."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from harmbench.util.progress import Progress


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Write a file under a temporary name, and rename it once it is on disk.

    A kill at any moment leaves the new file or the old one. Several processes may write the
    same file: the last one to finish wins. The folder is created if it is missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        with temporary.open("xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def atomic_write_bytes(path: Path, content: bytes) -> None:
    """Write a complete file as `atomic_write` does."""
    with atomic_write(path) as stream:
        stream.write(content)


@contextlib.contextmanager
def hold_lock(lock: Path, notice: str, progress: Progress) -> Iterator[None]:
    """Hold a lock, waiting for another process if needed; a killed process frees its locks.

    Parameters
    ----------
    lock
        File to lock. The folder is created if it is missing.
    notice
        Message to log before waiting.
    progress
        Receives the message.
    """
    from filelock import FileLock, Timeout

    lock.parent.mkdir(parents=True, exist_ok=True)
    file_lock = FileLock(lock)
    try:
        file_lock.acquire(blocking=False)
    except Timeout:
        progress.log(notice)
        file_lock.acquire()
    try:
        yield
    finally:
        file_lock.release()
