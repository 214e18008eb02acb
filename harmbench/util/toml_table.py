"""TOML files that a user writes: reading, and checking against a pydantic model."""

from __future__ import annotations

import tomllib
from importlib.resources.abc import Traversable
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from harmbench.errors import UserError

# Reasons in the words of TOML, where pydantic's are those of Python.
_REASONS = {
    "missing": "the key is missing",
    "dict_type": "input should be a table",
    "model_type": "input should be a table",
    "tuple_type": "input should be a list",
    "too_short": "input should have at least one value",
}


class Table(BaseModel):
    """A TOML table; a subclass declares its keys with their types and ranges."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, content: Any) -> Any:
        for key in content if isinstance(content, dict) else ():
            if key not in cls.model_fields:
                raise ValueError(str(UserError.unknown("key", key, cls.model_fields)))
        return content

    @classmethod
    def checked(cls, content: Any, title: str) -> Self:
        """Return the table with the content of a TOML file; errors name it by the title.

        Raises
        ------
        UserError
            In one line, with the first wrong key and the reason.
        """
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise UserError(f"{title}: {_first_problem(error)}") from None


def read_toml(path: Traversable, title: str) -> dict[str, Any]:
    """Read a TOML file; errors name it by the title.

    Raises
    ------
    UserError
        If the file does not exist, or is no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"there is no {title}") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{title} cannot be read: {' '.join(str(error).split())}") from error


def _first_problem(error: ValidationError) -> str:
    """Format the first wrong key; a key of several possible types has a reason for each type."""
    reasons: dict[str, list[str]] = {}
    for problem in error.errors(include_url=False):
        text = _REASONS.get(problem["type"], problem["msg"].removeprefix("Value error, "))
        reasons.setdefault(_key(problem["loc"]), []).append(text[:1].lower() + text[1:])
    key, texts = next(iter(reasons.items()))
    first, *others = dict.fromkeys(texts)
    others = [text.removeprefix("input should be ") for text in others]
    return f"{key}{': ' if key else ''}{' or '.join([first, *others])}"


def _key(location: tuple[int | str, ...]) -> str:
    """Join the names of nested keys, without positions in lists and pydantic's own marks."""
    names: list[str] = []
    for part in location:
        if isinstance(part, int) or part == "[key]":
            break
        names.append(part)
    return ".".join(names)
