"""A store of folders by key, each written completely or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from harmbench.util import folders
from harmbench.util.files import atomic_write_bytes

# Checksums of all files of a folder, in the format of `sha256sum --check`.
CHECKSUMS = "SHA256SUMS"


def checksums(folder: Path, *, sync: bool = False) -> dict[str, str]:
    """Return the SHA-256 of every file of a folder, sorted by name.

    Parameters
    ----------
    folder
        Has no folders in it.
    sync
        Whether to write the files to disk first.
    """
    values = {}
    for path in sorted(folder.iterdir()):
        if path.name != CHECKSUMS:
            with path.open("rb") as stream:
                if sync:
                    os.fsync(stream.fileno())
                values[path.name] = hashlib.file_digest(stream, "sha256").hexdigest()
    return values


class HeldError(Exception):
    """Another process holds the key."""


class Store:
    """Folders by key, written under a temporary name and then renamed, so that none is incomplete.

    A process may be killed at any time. A folder that it was writing is removed by the next writer
    of the key; one that it was replacing is put back by the next process that locks the key.

    Parameters
    ----------
    root
        Folder of the store.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, key: str) -> Path:
        """Return the path of the folder of `key`, existing or not."""
        return self.root / key

    def has(self, key: str) -> bool:
        """Whether the folder of `key` exists."""
        return self.path(key).is_dir()

    @contextlib.contextmanager
    def lock(self, key: str, *, wait: bool = True) -> Iterator[None]:
        """Hold the key, so that two processes do not compute the same entry.

        Raises
        ------
        HeldError
            If another process holds it and `wait` is false.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.root / f".{key}.lock")
        try:
            lock.acquire(blocking=wait)
        except Timeout:
            raise HeldError(key) from None
        try:
            folders.restore(self.path(key))
            yield
        finally:
            lock.release()

    @contextlib.contextmanager
    def writing(self, key: str) -> Iterator[Path]:
        """Yield a temporary folder, which replaces the entry if the block ends without error.

        The caller must hold the key's lock.
        """
        with folders.replacing(self.path(key)) as building:
            yield building
            lines = [f"{value}  {name}\n" for name, value in checksums(building, sync=True).items()]
            atomic_write_bytes(building / CHECKSUMS, "".join(lines).encode())

    def remove(self, key: str) -> None:
        """Remove the entry of `key` atomically; the caller must hold the key's lock."""
        folders.remove(self.path(key))
