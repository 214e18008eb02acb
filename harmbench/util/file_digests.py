"""Digests of large input files, cached as long as size and time of a file are unchanged."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path

from harmbench.util.hashing import digest, file_digest

# Two writes within one tick of the clock leave the same time, so the digest of a file
# that changed this recently is not cached.
_SETTLED_NS = 2_000_000_000


def remembered_digests(paths: Iterable[Path], home: Path) -> dict[Path, str | None]:
    """Hash files by content, reading only those that are new or changed.

    A file counts as unchanged if its path, size and modification time are equal. The digest of an
    `.img` covers its `.hdr`, which has the geometry.

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
            digests[path] = _remembered(path, store)
            header = _header(path)
            if header is not None and header.exists() and digests[path] is not None:
                digests[path] = digest("pair", digests[path], _remembered(header, store))
    return digests


def _header(path: Path) -> Path | None:
    """Return the path of the header of a pair, by the name of its `.img`; None for other files."""
    pair = re.fullmatch(r"(.+)\.img(\.gz|\.bz2)?", path.name)
    return path.with_name(f"{pair[1]}.hdr{pair[2] or ''}") if pair else None


def _remembered(path: Path, store: sqlite3.Connection) -> str | None:
    """Return the digest of a file, from the store if the file is unchanged."""
    try:
        status = path.stat()
        size_and_time = (status.st_size, status.st_mtime_ns)
        row = store.execute(
            "select digest from digests where path = ? and size = ? and mtime_ns = ?",
            (str(path.absolute()), *size_and_time),
        ).fetchone()
        if row is not None:
            return str(row[0])
        content = file_digest(path)
    except OSError:
        return None
    if time.time_ns() - status.st_mtime_ns > _SETTLED_NS:
        store.execute(
            "insert or replace into digests values (?, ?, ?, ?)",
            (str(path.absolute()), *size_and_time, content),
        )
        # At once, so that hashing many gigabytes can be interrupted.
        store.commit()
    return content
