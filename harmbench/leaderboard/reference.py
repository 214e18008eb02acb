"""What papers printed of a board's methods: other data sets, for orientation only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harmbench.errors import HarmbenchError
from harmbench.leaderboard.table import Board
from harmbench.plugins import Registry
from harmbench.published import BASELINE, printed_of


@dataclass(frozen=True)
class Reference:
    """One method's row of a paper.

    Attributes
    ----------
    label
        The method's name.
    source, data
        Paper and table, and what was measured there.
    values
        By task, those of the board alone.
    """

    label: str
    source: str
    data: str
    values: Mapping[str, float]


def references(registry: Registry, board: Board) -> list[Reference]:
    """Return what the papers of a board's methods say of its metric and tasks.

    They are no part of the board and nothing is ranked by them. A method whose code is not
    installed here, or cannot be read, has none.
    """
    entries = registry.entries("methods")
    found = []
    for method in sorted({row.method for row in board.methods} & set(entries)):
        try:
            printed = printed_of(entries[method])
        except HarmbenchError as error:
            registry.on_error(str(error))
            continue
        if printed is None:
            continue
        row = printed.values.get(board.metric, {}).get(BASELINE, {})
        values = {task: row[task] for task in board.tasks if task in row}
        if values:
            found.append(Reference(method, printed.source, printed.data, values))
    return found
