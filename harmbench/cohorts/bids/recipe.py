"""Recipes: which scans of a study are which domain, written by its user as TOML."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harmbench.errors import UserError

Value = str | int | float
Criteria = Mapping[str, tuple[Value, ...]]


@dataclass(frozen=True)
class DomainCriteria:
    """The criteria of a domain; a scan of the domain meets all of them.

    Attributes
    ----------
    name
        Name of the domain.
    participants
        Columns of `participants.tsv`, each with the accepted values.
    sidecar
        Fields of the scan's JSON sidecar, each with the accepted values; None if the
        scan must have no sidecar.
    exclude
        Fields of the sidecar, each with the rejected values.
    """

    name: str
    participants: Criteria = field(default_factory=dict)
    sidecar: Criteria | None = field(default_factory=dict)
    exclude: Criteria = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
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
class Sizes:
    """How many slices of a domain a paper used.

    Attributes
    ----------
    train, validation, test
        In each split.
    paired
        Of those trained on, by methods that need pairs.
    """

    train: int = 0
    validation: int = 0
    test: int = 0
    paired: int = 0


@dataclass(frozen=True)
class Split:
    """How subjects are split; who is in no other split is trained on.

    Attributes
    ----------
    validation, test
        Fractions of each domain's subjects; with published sizes, the most that these may
        take of the domain's scans.
    published
        By domain, the sizes that the split comes as near to as it can.
    """

    validation: float = 0.1
    test: float = 0.3
    published: Mapping[str, Sizes] = field(default_factory=dict)


@dataclass(frozen=True)
class Pairs:
    """Which scans of one subject, on the target's scanner and another, are a pair.

    Each source scan is paired with the target scan nearest in time, and registered to it.

    Attributes
    ----------
    day
        Regular expression whose first group is the day in a session's label.
    maximum_gap_days
        How many days may lie between the two.
    """

    day: str
    maximum_gap_days: int

    def day_of(self, session: str) -> int | None:
        """Return the day of a session, or None if its label does not encode it.

        Examples
        --------
        >>> Pairs("d([0-9]+)", 365).day_of("d0129")
        129
        """
        found = re.fullmatch(self.day, session)
        return int(found[1]) if found else None


@dataclass(frozen=True, kw_only=True)
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
        How subjects are split.
    pairs
        None where no pairing is asked for: all scans of one subject are in one space then.
    """

    name: str
    domains: tuple[DomainCriteria, ...]
    labels: Labels | None
    split: Split
    pairs: Pairs | None = None

    @property
    def target(self) -> str:
        """Name of the target domain."""
        return self.domains[0].name

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the source domains."""
        return tuple(domain.name for domain in self.domains[1:])


SHIPPED = Path(__file__).with_name("recipes")


def shipped_recipes() -> list[str]:
    """Return the names of the recipes that ship with harmbench."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def load_recipe(path: Path, base: str | None = None) -> Recipe:
    """Read and check a recipe.

    A recipe that `extends = "NAME"` a shipped one need only say what is different: tables
    are merged key by key, and `false` takes away what the shipped recipe has there.

    Parameters
    ----------
    path
        The TOML file.
    base
        Name of the shipped recipe that it extends, whether it says so or not.

    Raises
    ------
    UserError
        In one line, for whatever is wrong with it.
    """
    content = dict(_toml(path))
    try:
        base = content.pop("extends", base)
        if base is not None:
            if base not in shipped_recipes():
                raise UserError.unknown("shipped recipe", str(base), shipped_recipes())
            content = _merged(_toml(SHIPPED / f"{base}.toml"), content)
        return _recipe(content)
    except UserError as error:
        raise UserError(f"recipe {path.name}: {error}") from error


def _toml(path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"there is no recipe {path}") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"recipe {path} cannot be read: {' '.join(str(error).split())}") from error


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the base with the changes; a table is changed key by key, `false` takes away."""
    merged = dict(base)
    for key, value in changes.items():
        known = merged.get(key)
        if value is False and key in merged:
            del merged[key]
        elif isinstance(value, dict) and isinstance(known, dict):
            merged[key] = _merged(known, value)
        else:
            merged[key] = value
    return merged


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
    _only(content, "", ("name", "target", "domains", "labels", "split", "pairs"))
    name, target = _text(content, "name"), _text(content, "target")
    tables = _table(content, "domains")
    if target not in tables:
        raise UserError(str(UserError.unknown("domain for the target", target, tables)))
    names = [target, *(other for other in tables if other != target)]
    domains = tuple(_domain(other, _table(tables, other, "domains.")) for other in names)
    labels = _labels(_table(content, "labels")) if "labels" in content else None
    split = _split(_table(content, "split"), names) if "split" in content else Split()
    pairs = _pairs(_table(content, "pairs")) if "pairs" in content else None
    return Recipe(name=name, domains=domains, labels=labels, split=split, pairs=pairs)


def _domain(name: str, table: Mapping[str, Any]) -> DomainCriteria:
    at = f"domains.{name}."
    # The name becomes a folder's, and part of a task's.
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise UserError(f"domain name '{name}' may have letters, digits, - and _ only")
    _only(table, at, ("participants", "sidecar", "exclude"))
    participants = _criteria(table, "participants", at)
    exclude = _criteria(table, "exclude", at)
    sidecar = None if table.get("sidecar") is False else _criteria(table, "sidecar", at)
    if not participants and sidecar is not None and not sidecar:
        raise UserError(
            f"domain '{name}' asks for nothing, so every scan would be in it; "
            "give it participants = {...} or sidecar = {...}"
        )
    return DomainCriteria(name, participants, sidecar, exclude)


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
    return Labels(
        derivative=derivative,
        suffix=suffix,
        csf=values[0],
        grey_matter=values[1],
        white_matter=values[2],
    )


def _split(table: Mapping[str, Any], domains: Iterable[str]) -> Split:
    _only(table, "split.", ("validation", "test", "published"))
    fractions = {key: value for key, value in table.items() if key != "published"}
    for key, value in fractions.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise UserError(f"split.{key} must be a number, the fraction of subjects")
    published: dict[str, Sizes] = {}
    if "published" in table:
        sizes = _table(table, "published", "split.")
        # A domain that an extending recipe took away leaves its sizes behind.
        published = {name: _sizes(sizes, name) for name in domains if name in sizes}
    split = Split(**fractions, published=published)
    if split.validation < 0 or split.test <= 0 or split.validation + split.test >= 1:
        raise UserError("split needs validation >= 0, test > 0, and together less than 1")
    return split


def _sizes(tables: Mapping[str, Any], domain: str) -> Sizes:
    table = _table(tables, domain, "split.published.")
    at = f"split.published.{domain}."
    _only(table, at, asdict(Sizes()))
    for key, value in table.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise UserError(f"{at}{key} must be a number of slices")
    return Sizes(**table)


def _pairs(table: Mapping[str, Any]) -> Pairs:
    _only(table, "pairs.", ("day", "maximum_gap_days"))
    day, gap = _text(table, "day", "pairs."), _required(table, "maximum_gap_days", "pairs.")
    try:
        groups = re.compile(day).groups
    except re.error as error:
        raise UserError(f"pairs.day is no regular expression: {error}") from error
    if groups != 1:
        raise UserError("pairs.day must have one group, the day in a session's label: 'd([0-9]+)'")
    if isinstance(gap, bool) or not isinstance(gap, int) or gap < 0:
        raise UserError("pairs.maximum_gap_days must be a whole number of days")
    return Pairs(day, gap)


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
