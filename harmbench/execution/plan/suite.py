"""Suites: matrices that are written down in a TOML file."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

from harmbench.errors import UserError

# By key: the type, or the type of each value of a list, and how it is said.
_KEYS: dict[str, tuple[type, bool]] = {
    "methods": (str, True),
    "tasks": (str, True),
    "cohort": (str, False),
    "recipe": (str, False),
    "normalize": (str, False),
    "brain_extraction": (str, False),
    "no_brain_mask": (bool, False),
    "n4": (bool, False),
    "preset": (str, False),
    "seeds": (int, True),
    "set": (str, True),
}


def shipped() -> list[str]:
    """Return the names of the suites that come with harmbench."""
    folder = resources.files("harmbench") / "suites"
    return sorted(path.name.removesuffix(".toml") for path in folder.iterdir())


def read_suite(name: str) -> dict[str, Any]:
    """Read a suite that comes with harmbench, or a file.

    Parameters
    ----------
    name
        `quick`, `paper`, or the path of a TOML file.

    Returns
    -------
    dict
        Any of `methods`, `tasks`, `seeds` and `set` (tuples), and `cohort`, `recipe`,
        `normalize`, `brain_extraction`, `no_brain_mask`, `n4` and `preset`; a recipe's path is
        relative to the file's folder.

    Raises
    ------
    UserError
        If there is no such suite, or a key or a value is not what a suite has.
    """
    path = Path(name)
    if name in shipped():
        text = (resources.files("harmbench") / "suites" / f"{name}.toml").read_text()
    elif path.is_file():
        text = path.read_text()
    elif path.suffix:
        raise UserError(f"no suite file '{name}'")
    else:
        raise UserError.unknown("suite", name, shipped())
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"suite '{name}': {error}") from None
    suite = {key: _checked(name, key, value) for key, value in content.items()}
    if "recipe" in suite:
        suite["recipe"] = path.parent / suite["recipe"]
    return suite


def _checked(name: str, key: str, value: Any) -> Any:
    if key not in _KEYS:
        raise UserError.unknown(f"key of the suite '{name}'", key, _KEYS)
    kind, several = _KEYS[key]
    values = value if several and isinstance(value, list) else [value]
    if isinstance(value, list) is not several or any(type(each) is not kind for each in values):
        word = {str: "a text", int: "a whole number", bool: "true or false"}[kind]
        plural = {str: "texts", int: "whole numbers"}
        raise UserError(
            f"suite '{name}': {key} must be " + (f"a list of {plural[kind]}" if several else word)
        )
    return tuple(values) if several else value
