"""Numbers that a paper printed, to stand beside ours."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harmbench.lazy import Lazy
from harmbench.plugins import Entry

# The row of the method as it is, in ablation tables of papers and in ours.
BASELINE = "Baseline"


@dataclass(frozen=True)
class Published:
    """The ablation table of a method's paper.

    Attributes
    ----------
    source
        Paper and table.
    data
        What the numbers were measured on; said wherever one of them is shown.
    values
        By metric, row and task. Rows are `"Baseline"` and the titles of the method's
        `ablations`; metrics and tasks have their names here.
    """

    source: str
    data: str
    values: Mapping[str, Mapping[str, Mapping[str, float]]]

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks with a number, in the paper's order."""
        rows = (row for table in self.values.values() for row in table.values())
        return tuple(dict.fromkeys(task for row in rows for task in row))

    def value(self, metric: str, row: str, task: str) -> float | None:
        """Return a number, or None where the paper has none."""
        return self.values.get(metric, {}).get(row, {}).get(task)


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
        found = Entry(entry.name, Lazy(f"{module}:{value}"), entry.plugin).load()
    else:
        found = entry.load().published
    return found if isinstance(found, Published) else None


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
