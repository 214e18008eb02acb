"""References to classes that are imported when they are used, and not before."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harmbench.errors import UserError


@dataclass(frozen=True)
class Lazy:
    """A class to be imported when it is used, and what to construct it with.

    Attributes
    ----------
    target
        `"module:Class"`.
    kwargs
        Keyword arguments of its constructor.
    """

    target: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def load(self) -> Any:
        """Import the module and return the class.

        Raises
        ------
        UserError
            If the reference has not the form `"module:Class"` or names no such class.
        """
        module, separator, name = self.target.partition(":")
        if not separator:
            raise UserError(f"'{self.target}' is no reference of the form 'module:Class'")
        try:
            return getattr(importlib.import_module(module), name)
        except AttributeError:
            raise UserError(f"module '{module}' has no class '{name}'") from None

    @property
    def module(self) -> str:
        """Name of the module."""
        return self.target.partition(":")[0]

    def exists(self) -> bool:
        """Whether the module is there; it is not imported."""
        try:
            return self.module in sys.modules or importlib.util.find_spec(self.module) is not None
        except (ImportError, ValueError):
            return False

    def attributes(self) -> dict[str, str]:
        """Read the plain class attributes from the source text, without importing it.

        This is what lets `harmbench list` show summaries without loading torch. Strings
        are returned as they are and `Needs.TARGET` as `"TARGET"`; what cannot be read so
        is left out.
        """
        module, _, name = self.target.partition(":")
        try:
            spec = importlib.util.find_spec(module)
            assert spec is not None
            assert spec.origin is not None
            tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
        except (ImportError, OSError, SyntaxError, ValueError, AssertionError):
            return {}
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and node.name == name:
                return dict(_literals(node))
        return {}


def _literals(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for statement in node.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            name = statement.targets[0].id
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            name = statement.target.id
        else:
            continue
        if isinstance(statement.value, ast.Constant) and isinstance(statement.value.value, str):
            yield name, statement.value.value
        elif isinstance(statement.value, ast.Attribute):
            yield name, statement.value.attr
