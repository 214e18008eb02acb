"""The results store of a home: every cell that has ended, in files that only grow."""

from __future__ import annotations

import json
import logging
import os
import platform
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from harmbench.contracts.cell import Cell, CellResult
from harmbench.errors import UserError
from harmbench.store.columns import PLACE
from harmbench.store.curves import write_curves
from harmbench.store.record import (
    SCHEMA,
    Record,
    UnknownSchemaError,
    head_of,
    id_of,
    record_of,
)
from harmbench.store.result_table import LAYOUT, joined, to_table
from harmbench.util.closed_on_exit import ClosedOnExit
from harmbench.util.files import atomic_write, atomic_write_bytes
from harmbench.util.hashing import digest

_LOG = logging.getLogger(__name__)
_METADATA = b"harmbench"
_FILE = "file"
# Parsing this many bytes takes less time than writing the cache.
_WORTH_CACHING = 1 << 20


@dataclass(frozen=True)
class _Progress:
    """How much of a file has been read: bytes, and lines that were skipped."""

    offset: int = 0
    newer: int = 0
    damaged: int = 0


class ResultsStore:
    """Records of cells, one JSON line each.

    Every writer has a file of its own, so that several processes may write at once. A record is on
    disk before `ResultsWriter.append` returns. A line that a kill left incomplete is ignored. The
    files need nothing else of the home: a copy of the folder is complete.

    Parameters
    ----------
    folder
        Folder of the store. It also contains `table.parquet`, the parsed lines, which is made
        again when it is missing, damaged or outdated.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._cache = folder / "table.parquet"

    def writer(self, command: str) -> ResultsWriter:
        """Return a writer; `command` is the command line of this process."""
        return ResultsWriter(self, command)

    def files(self, key: str) -> Path:
        """Return the folder of the files of a record without a stored cell, existing or not."""
        return self.folder / "files" / key

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return all records, a row each, as `harmbench.store.result_table` lays them out.

        Lines that cannot be read are skipped, with a line in the log.

        Parameters
        ----------
        columns
            Columns to read; all if None. Fewer are faster.
        """
        progress, cached = self._read_cache(columns)
        tables, unread = [cached], 0
        for path in sorted(self.folder.glob("*.jsonl")):
            before = progress.get(path.name, _Progress())
            records, after = _read(path, before)
            progress[path.name] = after
            unread += after.offset - before.offset
            if records:
                names = pa.repeat(path.name, len(records))
                parsed = to_table(records, **{_FILE: names})
                tables.append(parsed.select(cached.column_names) if columns else parsed)
        if unread > _WORTH_CACHING and columns:
            return self.table().select(columns)
        table = joined([table for table in tables if len(table)] or [cached])
        if unread > _WORTH_CACHING:
            self._write_cache(progress, table)
        _report(progress)
        return table.drop_columns(_FILE)

    def records(self) -> Iterator[Record]:
        """Yield all records; lines that cannot be read are skipped."""
        for path in sorted(self.folder.glob("*.jsonl")):
            yield from _read(path, _Progress())[0]

    def ids(self) -> set[str]:
        """Return the ids of all records."""
        return set(self.table(["run_id"])["run_id"].to_pylist())

    def newest(self) -> dict[tuple[Any, ...], tuple[str, str]]:
        """Return the cell and the id of the newest record of each place on the boards."""
        table = self.table([*PLACE, "cell", "run_id", "started"]).sort_by("started")
        columns = (table[name].to_pylist() for name in (*PLACE, "cell", "run_id"))
        return {tuple(place): (cell, key) for *place, cell, key in zip(*columns, strict=True)}

    def _read_cache(self, columns: Sequence[str] | None) -> tuple[dict[str, _Progress], pa.Table]:
        """Return the progress by file, and the rows of the files that are still the same."""
        names = None if columns is None else [*columns, _FILE]
        empty = to_table([], **{_FILE: pa.array([], pa.string())})
        empty = empty if names is None else empty.select(names)
        try:
            table = pq.read_table(self._cache, columns=names)
            content = json.loads((table.schema.metadata or {})[_METADATA])
            if content["version"] != _version():
                return {}, empty
            progress = {name: _Progress(**values) for name, values in content["files"].items()}
        except FileNotFoundError:
            return {}, empty
        except (OSError, pa.ArrowException, ValueError, KeyError, TypeError) as error:
            _LOG.warning("warning: %s is damaged and made again (%s)", self._cache, error)
            return {}, empty
        same = {name: at for name, at in progress.items() if self._size(name) >= at.offset}
        if len(same) < len(progress):
            kept = pc.is_in(table[_FILE], value_set=pa.array(list(same), pa.string()))
            table = table.filter(kept)
        return same, table.replace_schema_metadata()

    def _size(self, name: str) -> int:
        """Return the size of a file of records; -1 if it was removed."""
        try:
            return (self.folder / name).stat().st_size
        except OSError:
            return -1

    def _write_cache(self, progress: dict[str, _Progress], table: pa.Table) -> None:
        files = {name: asdict(at) for name, at in progress.items()}
        content = json.dumps({"version": _version(), "files": files})
        table = table.replace_schema_metadata({_METADATA: content})
        try:
            with atomic_write(self._cache) as stream:
                pq.write_table(table, stream)
        except OSError as error:  # such as a home that may only be read
            _LOG.info("%s cannot be written: %s", self._cache, error)


class ResultsWriter(ClosedOnExit):
    """Appends records to a new file of a results store, created with the first record.

    Parameters
    ----------
    store
        The store.
    command
        The command line of this process.
    """

    def __init__(self, store: ResultsStore, command: str) -> None:
        self._store = store
        self._command = command
        self._known: set[str] | None = None
        self._newest: dict[tuple[Any, ...], tuple[str, str]] = {}
        self._stream: IO[bytes] | None = None

    def append(self, cell: Cell, result: CellResult, ended: int | None = None) -> CellResult:
        """Record a cell that has ended, unless the same result counts on the boards already.

        After a method was changed and changed back, its older result counts again.

        Parameters
        ----------
        cell, result
            The cell and its result.
        ended
            When it ended, in milliseconds since 1970; now if None.

        Returns
        -------
        CellResult
            The result with the id of its record.

        Raises
        ------
        UserError
            If the file cannot be written.
        """
        head = head_of(cell, result)
        key = id_of(head)
        place = tuple(head[name] for name in PLACE)
        if self._known is None:
            self._known, self._newest = self._store.ids(), self._store.newest()
        newest_cell, newest_key = self._newest.get(place, (cell.key, ""))
        if key in self._known and newest_cell != cell.key:
            key = digest(key, newest_key)
        if key not in self._known:
            try:
                if result.folder is None:
                    self._write_files(key, result)
                record = record_of(cell, result, head, key, self._command)
                self._write(record if ended is None else replace(record, started=ended))
            except OSError as error:
                self.close()  # the next record must not continue an incomplete line
                raise UserError(
                    f"the result of {cell.title} cannot be recorded in {self._store.folder}: "
                    f"{error.strerror}; free some space, and run the same command again"
                ) from error
            self._known.add(key)
            self._newest[place] = cell.key, key
        return replace(result, record=key)

    def close(self) -> None:
        """Close the file."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _write(self, record: Record) -> None:
        if self._stream is None:
            self._stream = self._create()
        self._stream.write(record.to_line())
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def _create(self) -> IO[bytes]:
        """Create a file under a new name, on disk with its name."""
        folder = self._store.folder
        folder.mkdir(parents=True, exist_ok=True)
        origin = f"{platform.node()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        path = folder / f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{origin}.jsonl"
        stream = path.open("xb")
        _sync(folder)
        return stream

    def _write_files(self, key: str, result: CellResult) -> None:
        """Write what is known about a cell that has no folder: its traceback and curves."""
        folder = self._store.files(key)
        if "traceback" in result.facts:
            text = str(result.facts["traceback"])
            atomic_write_bytes(folder / "traceback.txt", text.encode(errors="replace"))
        if result.curves:
            folder.mkdir(parents=True, exist_ok=True)
            write_curves(folder, result.curves)


def _read(path: Path, before: _Progress) -> tuple[Sequence[Record], _Progress]:
    """Read the complete lines of a file that were added since."""
    with path.open("rb") as stream:
        stream.seek(before.offset)
        content = stream.read()
    complete = content[: content.rfind(b"\n") + 1]
    records, newer, damaged = [], before.newer, before.damaged
    for line in complete.split(b"\n")[:-1]:
        try:
            records.append(Record.from_line(line))
        except UnknownSchemaError:
            newer += 1
        except (ValueError, KeyError, TypeError):
            damaged += 1
    return records, _Progress(before.offset + len(complete), newer, damaged)


def _report(progress: dict[str, _Progress]) -> None:
    """Log what was skipped."""
    newer = sum(at.newer for at in progress.values())
    if newer:
        _LOG.warning(
            "warning: %d results were recorded by another version of harmbench (schema other than "
            "%d) and are left out; upgrade harmbench",
            newer,
            SCHEMA,
        )
    for name, at in progress.items():
        if at.damaged:
            _LOG.warning("warning: %d damaged lines in %s are left out", at.damaged, name)


def _version() -> str:
    return f"{SCHEMA} {LAYOUT}"


def _sync(folder: Path) -> None:
    """Write the names of a folder's files to disk; Windows does so by itself."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
