"""Changed settings: `--set method.field=value`, and the ablations that methods name."""

from __future__ import annotations

import dataclasses
import re
import tomllib
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from harmbench.errors import UserError
from harmbench.util.hashing import canonical


def parse(assignments: Sequence[str]) -> dict[str, dict[str, str]]:
    """Split `method.field=value` texts into values by method and field.

    Raises
    ------
    UserError
        If a text has not that form.

    Examples
    --------
    >>> parse(["blindharmony.alpha=0", "blindharmony.iterations=5"])
    {'blindharmony': {'alpha': '0', 'iterations': '5'}}
    """
    settings: dict[str, dict[str, str]] = {}
    for text in assignments:
        target, equals, value = text.partition("=")
        method, dot, name = target.strip().rpartition(".")
        if not (equals and dot and method and name):
            raise UserError(f"--set '{text}' has not the form METHOD.FIELD=VALUE")
        settings.setdefault(method, {})[name] = value.strip()
    return settings


def apply(method: str, config: Any, values: Mapping[str, str]) -> Any:
    """Return the config with fields replaced by values given as text.

    Parameters
    ----------
    method
        Name of the method, for messages.
    config
        A dataclass instance.
    values
        TOML values by field, quotes left out for strings.

    Raises
    ------
    UserError
        If there is no such field, or the value is not of its type.
    """
    return change(method, config, {name: _value(text) for name, text in values.items()}, "--set")


def change(method: str, config: Any, values: Mapping[str, Any], origin: str) -> Any:
    """Return the config with fields replaced by values of their types.

    Parameters
    ----------
    method
        Name of the method, for messages.
    config
        A dataclass instance.
    values
        Values by field; a whole number stands for a float, and a list for a tuple.
    origin
        Where the values are from, for messages.

    Raises
    ------
    UserError
        If there is no such field, or the value is not of its type.
    """
    hints = typing.get_type_hints(type(config))
    fields = {item.name for item in dataclasses.fields(config)}
    changed = {}
    for name, value in values.items():
        if name not in fields:
            raise UserError.unknown(f"setting of '{method}'", name, fields)
        changed[name] = _checked(f"{origin} {method}.{name}={value}", value, hints[name])
    try:
        return dataclasses.replace(config, **changed)
    except (UserError, ValueError) as error:
        raise UserError(f"{origin} {method}: {error}") from None


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _checked(what: str, value: Any, hint: Any) -> Any:
    options = typing.get_args(hint) or (hint,)
    if typing.get_origin(hint) is typing.Literal:
        if value in options:
            return value
        raise UserError(f"{what}: must be one of {', '.join(map(str, options))}")
    if isinstance(value, int) and not isinstance(value, bool) and float in options:
        value = float(value)
    if typing.get_origin(hint) is tuple and isinstance(value, (list, tuple)):
        return tuple(value)
    kinds = tuple(option for option in options if isinstance(option, type))
    if isinstance(value, bool) and bool not in kinds:
        kinds = ()
    if not isinstance(value, kinds):
        wanted = " or ".join(kind.__name__ for kind in options if isinstance(kind, type))
        raise UserError(f"{what}: expected {wanted}")
    return value


def changes(config: Any, preset: Any) -> dict[str, Any]:
    """Return the fields in which a config differs from its preset."""
    return {
        item.name: canonical(getattr(config, item.name))
        for item in dataclasses.fields(config)
        if getattr(config, item.name) != getattr(preset, item.name)
    }


def label(method: str, changed: Mapping[str, Any]) -> str:
    """Name a method with its changed settings.

    Examples
    --------
    >>> label("blindharmony", {"alpha": 0})
    'blindharmony[alpha=0]'
    """
    if not changed:
        return method
    return f"{method}[{','.join(f'{name}={value}' for name, value in sorted(changed.items()))}]"


def assignments_of(label: str) -> tuple[str, tuple[str, ...]]:
    """Return the name and the assignments of a label, the inverse of `label`.

    Of a task's label the fields have the instrument's name already.

    Examples
    --------
    >>> assignments_of("blindharmony[alpha=0,steps=[1, 2]]")
    ('blindharmony', ('blindharmony.alpha=0', 'blindharmony.steps=[1, 2]'))
    >>> assignments_of("segment[segmenter.deep=True]")
    ('segment', ('segmenter.deep=true',))
    """
    name, bracket, rest = label.partition("[")
    if not bracket:
        return name, ()
    # A comma inside of a list is not followed by the name of a field.
    texts = re.split(r",(?=[A-Za-z_][\w.]*=)", rest.removesuffix("]"))
    parted = (text.partition("=") for text in texts)
    return name, tuple(
        f"{field if '.' in field else f'{name}.{field}'}={_toml(value)}"
        for field, _, value in parted
    )


def _toml(text: str) -> str:
    """Return a value of a label in the syntax of assignments."""
    return text.lower() if text in ("True", "False") else text
