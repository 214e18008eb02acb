"""List, verify and prune the entries of the stores and the logs of runs."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harmbench.store.folder_store import CHECKSUMS, Store, checksums
from harmbench.store.run_folder import has_ended

# Kind, folder in the home, names of the entries, and the file that describes an entry.
_KINDS = (
    ("fit", "fits", "[!.]*", "fit.json"),
    ("cell", "cells", "[!.]*", "result.json"),
    ("bounds", "bounds", "[!.]*", ""),
    ("run", "runs", "[!.]*", "options.json"),
    ("outputs", "cells", ".*.outputs", ""),
    ("outputs", "outputs", "[!.]*", ""),
    ("checkpoints", "fits", ".*.checkpoints", ""),
)
_WITHOUT_CHECKSUMS = ("run", "outputs", "checkpoints")
_DAY = 24 * 3600.0
_UNFINISHED = "unfinished"


@dataclass(frozen=True, kw_only=True)
class Stored:
    """An entry of a store.

    Attributes
    ----------
    kind
        `fit`, `cell`, `bounds`; `run`: the options of a run, with a log of each job; `outputs`:
        those kept of a cell without scores of all scans, or for tasks with the same scans until all
        of them are complete; `checkpoints`: of an unfinished fit.
    path
        Its folder, named by its key.
    title
        Short description; `damaged` if its file cannot be read.
    size
        Size of its files in bytes.
    written
        Time of writing, in seconds since 1970.
    fits
        For a cell, the keys of the fits that it used.
    """

    kind: str
    path: Path
    title: str
    size: int
    written: float
    fits: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Its key; of a cell's outputs and of checkpoints, that of the cell or fit."""
        return self.path.name.removeprefix(".").partition(".")[0]

    @property
    def days(self) -> float:
        """Age in days."""
        return (time.time() - self.written) / _DAY


def stored(home: Path) -> list[Stored]:
    """Return all entries of the stores of a home folder, oldest first."""
    entries = [
        _entry(kind, path, marker)
        for kind, folder, names, marker in _KINDS
        for path in (home / folder).glob(names)
        if path.is_dir()
    ]
    return sorted(entries, key=lambda entry: entry.written)


def _entry(kind: str, path: Path, marker: str) -> Stored:
    files = [file for file in path.rglob("*") if file.is_file()]
    title = ""
    fits: tuple[str, ...] = ()
    if marker:
        try:
            title, fits = _described(kind, path, json.loads((path / marker).read_text()))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            title = "damaged"
    return Stored(
        kind=kind,
        path=path,
        title=title,
        size=sum(file.stat().st_size for file in files),
        written=path.stat().st_mtime,
        fits=fits,
    )


def _described(kind: str, path: Path, content: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    if kind == "run":
        return "ended" if has_ended(path) else _UNFINISHED, ()
    if kind == "fit":
        return f"{content['method']} on {content['domain']}, seed {content['seed']}", ()
    cell = content["cell"]
    fits = (cell.get("fit_key"), *cell.get("instruments", {}).values())
    title = f"{cell['label']} on {cell['task']}, {cell['cohort']}, seed {cell['seed']}"
    return title, tuple(key for key in fits if key)


def faults(entry: Stored) -> Iterator[str]:
    """Yield the faults of an entry's files: missing, added or changed since they were written."""
    if entry.kind in _WITHOUT_CHECKSUMS:
        return  # logs change, and no result depends on them
    path = entry.path / CHECKSUMS
    if not path.exists():
        yield "has no checksums"
        return
    lines = [line.partition("  ") for line in path.read_text().splitlines()]
    expected = {name: value for value, _, name in lines}
    present = checksums(entry.path)
    for name in sorted(expected.keys() | present.keys()):
        if name not in present:
            yield f"{name} is missing"
        elif name not in expected:
            yield f"{name} was added"
        elif present[name] != expected[name]:
            yield f"{name} is damaged"


def to_prune(
    entries: list[Stored], *, older_than: float | None, unused: bool, damaged: bool
) -> list[Stored]:
    """Return the entries to remove: those that meet all given conditions.

    A run that has not ended is never removed, since `harmbench resume` may continue it.

    Parameters
    ----------
    entries
        All entries.
    older_than
        Minimum age in days, or None for any age.
    unused
        Whether to select only fits that no stored cell used.
    damaged
        Whether to select only entries with faults.
    """
    used = {key for entry in entries for key in entry.fits}
    return [
        entry
        for entry in entries
        if entry.title != _UNFINISHED
        and (older_than is None or entry.days > older_than)
        and (not unused or (entry.kind == "fit" and entry.key not in used))
        and (not damaged or any(faults(entry)))
    ]


def remove(entry: Stored) -> None:
    """Remove an entry, while no other process writes it; it may be gone by then."""
    store = Store(entry.path.parent)
    with store.lock(entry.key), contextlib.suppress(FileNotFoundError):
        if entry.path == store.path(entry.key):
            store.remove(entry.key)
        else:
            shutil.rmtree(entry.path)
