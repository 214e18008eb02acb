"""Published numbers of a board's methods: other data sets, for orientation only."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harmbench.contracts.published import BASELINE, Published
from harmbench.errors import HarmbenchError
from harmbench.leaderboard.board import Board
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
        By task; only tasks of the board.
    """

    label: str
    source: str
    data: str
    values: Mapping[str, float]


def references(registry: Registry, board: Board) -> list[Reference]:
    """Return the published numbers of a board's methods, for its metric and tasks.

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
    return rows


def printed_of(entry: Entry) -> Published | None:
    """Return the `published` of a registered method.

    Where the class takes it from another module, as it had better, that module alone is
    imported: the method itself would bring torch with it, which takes seconds.

    Raises
    ------
    UserError
        If what is to be imported cannot be.
    """
    value, module = _assigned(entry.lazy)
    if value is None:
        return None
    if module is not None:
        published = Entry(entry.name, Lazy(f"{module}:{value}"), entry.plugin).load()
    else:
        published = entry.load().published
    return published if isinstance(published, Published) else None


def _assigned(lazy: Lazy) -> tuple[str | None, str | None]:
    """Return the name in `published = NAME` of a class, and the module it is imported from."""
    spec = importlib.util.find_spec(lazy.module) if lazy.exists() else None
    if spec is None or spec.origin is None:
        return None, None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    name = lazy.target.partition(":")[2]
    classes = (each for each in tree.body if isinstance(each, ast.ClassDef) and each.name == name)
    value = None
    for statement in (statement for each in classes for statement in each.body):
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id="published")], value=assigned)
                | ast.AnnAssign(target=ast.Name(id="published"), value=assigned)
            ):
                value = assigned.id if isinstance(assigned, ast.Name) else ""
    for each in tree.body:
        if isinstance(each, ast.ImportFrom) and value in {alias.name for alias in each.names}:
            target = "." * each.level + (each.module or "")
            return value, importlib.util.resolve_name(target, spec.parent)
    return value, None
