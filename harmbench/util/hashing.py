"""Content hashes: the keys of cohorts, fits and cells."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

_LENGTH = 20  # hexadecimal digits: 80 bits, enough that no two contents ever meet


def canonical(value: Any) -> Any:
    """Reduce a value to JSON types in one fixed form.

    Raises
    ------
    TypeError
        For anything whose form would depend on the process, such as an arbitrary object.
    """
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        # 1.0 and 1 are one value, whichever way the user typed it.
        return int(value) if value.is_integer() else value
    if isinstance(value, Enum):
        return canonical(value.value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return canonical(
            {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        )
    if isinstance(value, Mapping):
        return {str(key): canonical(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [canonical(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(canonical(item) for item in value)
    raise TypeError(f"{type(value).__name__} has no canonical form to hash")


def digest(*values: Any) -> str:
    """Hash values by content: 20 hexadecimal digits.

    Examples
    --------
    >>> digest("a", {"x": 1, "y": 2.0}) == digest("a", {"y": 2, "x": 1})
    True
    >>> digest("a", "b") == digest("ab")
    False
    """
    text = json.dumps(canonical(values), sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode()).hexdigest()[:_LENGTH]


def file_digest(path: Path) -> str:
    """Hash a file's bytes: 20 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "blake2b").hexdigest()[:_LENGTH]


def bytes_digest(content: bytes) -> str:
    """Hash bytes as `file_digest` does once they are a file: 20 hexadecimal digits."""
    return hashlib.blake2b(content).hexdigest()[:_LENGTH]
