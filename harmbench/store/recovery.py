"""Stored cells without a record: of a run that was killed, or of a lost results store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from harmbench.contracts.cell import Cell, CellResult
from harmbench.store.results import ResultsStore
from harmbench.store.stores import CellStore

_FILE = "result.json"


def unrecorded(home: Path) -> Iterator[tuple[Cell, CellResult, int]]:
    """Yield the stored cells of a home that have no record.

    Cells that are damaged, or that an older version stored in another form, are left out.

    Yields
    ------
    tuple
        The cell, its result, and the time of storing in milliseconds since 1970.
    """
    recorded = set(ResultsStore(home / "results").table(["cell"])["cell"].to_pylist())
    cells = CellStore(home / "cells")
    for path in sorted(cells.root.glob(f"[!.]*/{_FILE}")):
        if path.parent.name in recorded:
            continue
        result = cells.load(path.parent.name)
        try:
            cell = Cell(**json.loads(path.read_text())["cell"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if result is not None:
            yield cell, result, int(path.stat().st_mtime * 1000)
