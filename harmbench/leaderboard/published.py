"""Published numbers of a board's methods: other data sets, for orientation only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harmbench.contracts.published import BASELINE, Published
from harmbench.errors import HarmbenchError
from harmbench.leaderboard.board import Board
from harmbench.leaderboard.published_studies import ALL, STUDY_NUMBERS
from harmbench.plugins import Entry, Registry
from harmbench.util.lazy import Lazy


@dataclass(frozen=True)
class Reference:
    """One method's row of a paper's table.

    Attributes
    ----------
    label
        The method's name.
    source, data
        Paper and table, and the data set.
    values
        By task of the board, or by `"all scanners"`.
    """

    label: str
    source: str
    data: str
    values: Mapping[str, float]


def references(registry: Registry, board: Board) -> list[Reference]:
    """Return the published numbers of a board's methods and of its study, for its metric.

    They are not part of the board, and not ranked. Methods that are not installed here, or
    cannot be imported, have none.
    """
    entries = registry.entries("methods")
    rows = []
    for method in sorted({row.method for row in board.methods} & set(entries)):
        try:
            printed = printed_of(entries[method])
        except HarmbenchError as error:
            registry.report(str(error))
            continue
        if printed is None:
            continue
        baseline = printed.values.get(board.metric, {}).get(BASELINE, {})
        values = {task: baseline[task] for task in board.tasks if task in baseline}
        if values:
            rows.append(Reference(method, printed.source, printed.data, values))
    return [*rows, *_of_study(board)]


def _of_study(board: Board) -> list[Reference]:
    """Return the numbers that papers report on the board's study, by any method.

    Simulated scans in the layout of a study are not its data, and have none.
    """
    study = board.cohort.partition("+")[0]
    travelled = any(task.startswith("travel-") for task in board.tasks)
    return [
        Reference(number.method, number.source, number.data, {ALL: number.value})
        for number in STUDY_NUMBERS
        if board.kind == "real"
        and travelled
        and (number.cohort, number.metric) == (study, board.metric)
    ]


def printed_of(entry: Entry) -> Published | None:
    """Return the `published` of a registered method; None if it has none of its own.

    If the registration declares the table (`Lazy`), the table's module alone is imported:
    the method itself would bring torch with it, which takes seconds.

    Raises
    ------
    UserError
        If the table's module, or the class of an undeclared method, cannot be imported.
    """
    lazy = entry.lazy
    published: Any
    if lazy.published is not None:
        published = Entry(entry.name, Lazy(lazy.published), entry.plugin).load()
    elif lazy.declared:
        published = None
    else:
        # Not inherited: a subclass is not the method of the paper.
        published = vars(entry.load()).get("published")
    return published if isinstance(published, Published) else None
