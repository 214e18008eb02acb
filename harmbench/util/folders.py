"""Replace a folder completely or not at all, also if the process is killed."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that replaces `folder` if the block ends without error.

    The caller must hold a lock on the folder, and call `restore` when it takes the lock. What a
    killed process left unfinished is removed.
    """
    building, old = _aside(folder, "building"), _aside(folder, "old")
    _discard(building)
    building.mkdir(parents=True)
    try:
        yield building
        _discard(old)
        # A folder cannot replace another one.
        with contextlib.suppress(FileNotFoundError):
            folder.rename(old)
        building.rename(folder)
        _discard(old)
    finally:
        _discard(building)


def restore(folder: Path) -> None:
    """Put a folder back that a killed process had moved away but not replaced yet."""
    old = _aside(folder, "old")
    if old.exists() and not folder.exists():
        old.rename(folder)


def remove(folder: Path) -> None:
    """Remove a folder; it is never incomplete under its name.

    Raises
    ------
    FileNotFoundError
        If it does not exist.
    """
    building = _aside(folder, "building")
    _discard(building)
    _discard(_aside(folder, "old"))
    folder.rename(building)
    _discard(building)


def _aside(folder: Path, name: str) -> Path:
    return folder.with_name(f".{folder.name}.{name}")


def _discard(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
