"""Digests of large input files, cached as long as size and time of a file are unchanged."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path

from harmbench.util.hashing import file_digest

# Two writes within one tick of the clock leave the same time, so the digest of a file
# that changed this recently is not cached.
_SETTLED_NS = 2_000_000_000


def remembered_digests(paths: Iterable[Path], home: Path) -> dict[Path, str | None]:
    """Hash files by content, reading only those that are new or changed.

    A file counts as unchanged if its path, size and modification time are equal.

    Returns
    -------
    dict
        The digest of each path; None for a file that cannot be read.
    """
    home.mkdir(parents=True, exist_ok=True)
    digests: dict[Path, str | None] = {}
    with contextlib.closing(sqlite3.connect(home / "digests.sqlite", timeout=60)) as store:
        store.execute(
            "create table if not exists digests "
            "(path text primary key, size integer, mtime_ns integer, digest text)"
        )
        for path in paths:
            try:
                status = path.stat()
                size_and_time = (status.st_size, status.st_mtime_ns)
                row = store.execute(
                    "select digest from digests where path = ? and size = ? and mtime_ns = ?",
                    (str(path.absolute()), *size_and_time),
                ).fetchone()
                if row is not None:
                    digests[path] = row[0]
                    continue
                digests[path] = file_digest(path)
            except OSError:
                digests[path] = None
                continue
            if time.time_ns() - status.st_mtime_ns > _SETTLED_NS:
                store.execute(
                    "insert or replace into digests values (?, ?, ?, ?)",
                    (str(path.absolute()), *size_and_time, digests[path]),
                )
                # At once, so that hashing many gigabytes can be interrupted.
                store.commit()
    return digests
