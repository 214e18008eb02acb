"""Recipes: which scans of a study are which domain, written by its user as TOML."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harmbench.errors import UserError

Value = str | int | float
Criteria = Mapping[str, tuple[Value, ...]]


@dataclass(frozen=True)
class Domain:
    """What a scan must have to belong to a domain: every one of these.

    Attributes
    ----------
    name
        Of the domain.
    participants
        Columns of `participants.tsv`, each with the values that will do.
    sidecar
        Fields of the scan's JSON sidecar, each with the values that will do; None if the
        scan must have no sidecar.
    """

    name: str
    participants: Criteria = field(default_factory=dict)
    sidecar: Criteria | None = field(default_factory=dict)


@dataclass(frozen=True)
class Labels:
    """Where tissue labels are, and which of their values are which tissue.

    Attributes
    ----------
    derivative
        Folder under `derivatives`.
    suffix
        Of the file names, such as `dseg`.
    csf, grey_matter, white_matter
        Values of the label volumes; every other value counts as background.
    """

    derivative: str
    suffix: str
    csf: tuple[int, ...]
    grey_matter: tuple[int, ...]
    white_matter: tuple[int, ...]


@dataclass(frozen=True)
class Split:
    """Fractions of each domain's people; the rest are trained on."""

    validation: float = 0.1
    test: float = 0.3


@dataclass(frozen=True)
class Recipe:
    """How a study becomes a cohort.

    Attributes
    ----------
    name
        Of the cohort.
    domains
        The target domain first.
    labels
        None where there are none.
    split
        How people are split.
    """

    name: str
    domains: tuple[Domain, ...]
    labels: Labels | None
    split: Split

    @property
    def target(self) -> str:
        """Name of the target domain."""
        return self.domains[0].name

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the source domains."""
        return tuple(domain.name for domain in self.domains[1:])


def load_recipe(path: Path) -> Recipe:
    """Read and check a recipe.

    Raises
    ------
    UserError
        In one line, for whatever is wrong with it.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"there is no recipe {path}") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"recipe {path} cannot be read: {' '.join(str(error).split())}") from error
    try:
        return _recipe(content)
    except UserError as error:
        raise UserError(f"recipe {path.name}: {error}") from error


def equal(found: object, wanted: Value) -> bool:
    """Whether a value of a data set is the recipe's: as numbers if both are, else as text.

    Text is compared without regard to case and to blanks around it, since scanners are
    not of one mind on either.

    Examples
    --------
    >>> equal("3", 3.0), equal("TrioTim ", "triotim"), equal("1.5", 3), equal(None, "None")
    (True, True, False, False)
    """
    if found is None:
        return False
    try:
        return math.isclose(float(str(found)), float(wanted))
    except ValueError:
        return str(found).strip().casefold() == str(wanted).strip().casefold()


def _recipe(content: Mapping[str, Any]) -> Recipe:
    _only(content, "", ("name", "target", "domains", "labels", "split"))
    name, target = _text(content, "name"), _text(content, "target")
    tables = _table(content, "domains")
    if target not in tables:
        raise UserError(str(UserError.unknown("domain for the target", target, tables)))
    names = [target, *(other for other in tables if other != target)]
    domains = tuple(_domain(other, _table(tables, other, "domains.")) for other in names)
    labels = _labels(_table(content, "labels")) if "labels" in content else None
    split = _split(_table(content, "split")) if "split" in content else Split()
    return Recipe(name, domains, labels, split)


def _domain(name: str, table: Mapping[str, Any]) -> Domain:
    at = f"domains.{name}."
    # The name becomes a folder's, and part of a task's.
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise UserError(f"domain name '{name}' may have letters, digits, - and _ only")
    _only(table, at, ("participants", "sidecar"))
    participants = _criteria(table, "participants", at)
    sidecar = None if table.get("sidecar") is False else _criteria(table, "sidecar", at)
    if not participants and sidecar is not None and not sidecar:
        raise UserError(
            f"domain '{name}' asks for nothing, so every scan would be in it; "
            "give it participants = {...} or sidecar = {...}"
        )
    return Domain(name, participants, sidecar)


def _criteria(table: Mapping[str, Any], key: str, at: str) -> Criteria:
    if key not in table:
        return {}
    criteria: dict[str, tuple[Value, ...]] = {}
    for name, value in _table(table, key, at).items():
        values = value if isinstance(value, list) else [value]
        fit = all(isinstance(v, (str, int, float)) and not isinstance(v, bool) for v in values)
        if not values or not fit:
            raise UserError(f"{at}{key}.{name} must be text, a number or a list of those")
        criteria[name] = tuple(values)
    return criteria


def _labels(table: Mapping[str, Any]) -> Labels:
    tissues = ("csf", "grey_matter", "white_matter")
    _only(table, "labels.", ("derivative", "suffix", *tissues))
    values: list[tuple[int, ...]] = []
    for tissue in tissues:
        value = _required(table, tissue, "labels.")
        numbers = value if isinstance(value, list) else [value]
        if any(isinstance(n, bool) or not isinstance(n, int) or n <= 0 for n in numbers):
            raise UserError(f"labels.{tissue} must be a whole number above zero, or several")
        values.append(tuple(numbers))
    everything = [number for numbers in values for number in numbers]
    twice = next((n for n in everything if everything.count(n) > 1), None)
    if twice is not None:
        raise UserError(f"label value {twice} is given to two tissues")
    derivative, suffix = _text(table, "derivative", "labels."), _text(table, "suffix", "labels.")
    return Labels(derivative, suffix, *values)


def _split(table: Mapping[str, Any]) -> Split:
    _only(table, "split.", ("validation", "test"))
    for key, value in table.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise UserError(f"split.{key} must be a number, the fraction of people")
    split = Split(**table)
    if split.validation < 0 or split.test <= 0 or split.validation + split.test >= 1:
        raise UserError("split needs validation >= 0, test > 0, and together less than 1")
    return split


def _only(table: Mapping[str, Any], at: str, known: Iterable[str]) -> None:
    names = list(known)
    for key in table:
        if key not in names:
            raise UserError.unknown("key", f"{at}{key}", [f"{at}{name}" for name in names])


def _required(table: Mapping[str, Any], key: str, at: str = "") -> Any:
    if key not in table:
        raise UserError(f"the key '{at}{key}' is missing")
    return table[key]


def _text(table: Mapping[str, Any], key: str, at: str = "") -> str:
    value = _required(table, key, at)
    if not isinstance(value, str) or not value:
        raise UserError(f"{at}{key} must be text")
    return value


def _table(table: Mapping[str, Any], key: str, at: str = "") -> Mapping[str, Any]:
    value = _required(table, key, at)
    if not isinstance(value, dict):
        raise UserError(f"{at}{key} must be a table")
    return value
