"""A store of folders by key, each written completely or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

# Checksums of all files of a folder, in the format of `sha256sum --check`.
CHECKSUMS = "SHA256SUMS"


def checksums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of a folder, sorted by name."""
    values = {}
    for path in sorted(folder.iterdir()):
        if path.name != CHECKSUMS:
            with path.open("rb") as stream:
                values[path.name] = hashlib.file_digest(stream, "sha256").hexdigest()
    return values


class HeldError(Exception):
    """Another process holds the key."""


class Store:
    """Folders by key. A folder is written under a temporary name, so that it is never incomplete.

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
            yield
        finally:
            lock.release()

    @contextlib.contextmanager
    def writing(self, key: str) -> Iterator[Path]:
        """Yield a temporary folder, which replaces the entry if the block ends without error.

        The caller must hold the key's lock.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        for stale in self.root.glob(f".{key}-*"):  # left by a process that was killed
            shutil.rmtree(stale, ignore_errors=True)
        building = Path(tempfile.mkdtemp(prefix=f".{key}-", dir=self.root))
        try:
            yield building
            lines = [f"{value}  {name}\n" for name, value in checksums(building).items()]
            (building / CHECKSUMS).write_text("".join(lines))
            for path in building.iterdir():
                with path.open("rb") as stream:
                    os.fsync(stream.fileno())
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(self.path(key))
            building.rename(self.path(key))
        finally:
            shutil.rmtree(building, ignore_errors=True)

    def remove(self, key: str) -> None:
        """Remove the entry of `key` atomically; the caller must hold the key's lock."""
        removed = self.root / f".{key}-removed"
        self.path(key).rename(removed)
        shutil.rmtree(removed)
