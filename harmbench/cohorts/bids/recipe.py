"""Recipes: which scans of a study are which domain, written by its user as TOML."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from harmbench.cohorts.bids.scanner_labels import ScannerLabels, slug
from harmbench.errors import UserError
from harmbench.util.subject_labels import bare_label
from harmbench.util.toml_table import Table, read_toml


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


Text = Annotated[str, Field(min_length=1)]
# The name becomes a folder's, and part of a task's.
DomainName = Annotated[str, StringConstraints(pattern="^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Value = str | int | float
Criteria = Mapping[
    str, Annotated[tuple[Value, ...], Field(min_length=1), BeforeValidator(_as_tuple)]
]
LabelValues = Annotated[tuple[Annotated[int, Field(gt=0)], ...], BeforeValidator(_as_tuple)]
LabelList = Annotated[tuple[Text, ...], Field(min_length=1), BeforeValidator(_as_tuple)]
Count = Annotated[int, Field(ge=0)]


class DomainCriteria(Table):
    """The criteria of a domain; a scan of the domain meets all of them.

    Attributes
    ----------
    scanner
        The accepted names of the scanner, as the table `scanners` finds them in file names.
    participants, sessions, scans
        Columns of `participants.tsv`, `sessions.tsv` and `scans.tsv`, each with the accepted
        values.
    sidecar
        Fields of the scan's JSON sidecar, each with the accepted values; None if the
        scan must have no sidecar.
    exclude
        Fields of the sidecar, each with the rejected values.
    """

    scanner: LabelList | None = None
    participants: Criteria = Field(default_factory=dict)
    sessions: Criteria = Field(default_factory=dict)
    scans: Criteria = Field(default_factory=dict)
    sidecar: Criteria | None = Field(default_factory=dict)
    exclude: Criteria = Field(default_factory=dict)

    @field_validator("sidecar", mode="before")
    @classmethod
    def _no_sidecar(cls, value: Any) -> Any:
        return None if value is False else value

    @model_validator(mode="after")
    def _select_scans(self) -> Self:
        tables = (self.scanner, self.participants, self.sessions, self.scans)
        if not any(tables) and self.sidecar == {}:
            raise ValueError(
                "no criteria, so every scan would match; "
                "add scanner = [...], participants = {...} or sidecar = {...}"
            )
        return self


class Labels(Table):
    """The location of the tissue labels, and the values of each tissue.

    Attributes
    ----------
    derivative
        Folder under `derivatives`.
    suffix
        Suffix of the file names, such as `dseg`.
    csf, grey_matter, white_matter
        Values of the label volumes; every other value counts as background.
    """

    derivative: Text
    suffix: Text
    csf: LabelValues
    grey_matter: LabelValues
    white_matter: LabelValues

    @model_validator(mode="after")
    def _one_tissue_per_value(self) -> Self:
        values = [*self.csf, *self.grey_matter, *self.white_matter]
        for value in values:
            if values.count(value) > 1:
                raise ValueError(f"label value {value} is given twice; give it to one tissue")
        return self


class Sizes(Table):
    """The number of slices of a domain in a paper.

    Attributes
    ----------
    train, validation, test
        Slices of each split.
    paired
        Training slices of methods that need pairs.
    """

    train: Count = 0
    validation: Count = 0
    test: Count = 0
    paired: Count = 0


class Split(Table):
    """How subjects are split; subjects outside validation and test are training subjects.

    Attributes
    ----------
    test_only
        Whether all subjects are test subjects, as in a study of one traveller: methods that
        learn are fitted on another cohort.
    validation, test
        Fractions of each domain's subjects; with published sizes, the most that these may
        take of the domain's scans.
    published
        By domain, the sizes that the split comes as near to as it can.
    """

    test_only: bool = False
    validation: Annotated[float, Field(ge=0)] = 0.1
    test: Annotated[float, Field(gt=0)] = 0.3
    published: Mapping[str, Sizes] = Field(default_factory=dict)

    @property
    def fewest_subjects(self) -> int:
        """The number of subjects that every domain needs."""
        return 1 if self.test_only else 2

    @model_validator(mode="after")
    def _leave_training_subjects(self) -> Self:
        if self.validation + self.test >= 1:
            raise ValueError("validation and test must be together less than 1")
        return self


class Pairs(Table):
    """The rule that pairs a subject's scans, and registers one to the other rigidly.

    With `day`, each source scan is paired with the target scan nearest in time. With
    `reference = "first"`, every other scan of a subject, on all scanners, is registered to the
    subject's first scan on the target scanner: all scans of a subject are then in one space.

    Attributes
    ----------
    day
        Regular expression whose first group is the day in a session's label.
    maximum_gap_days
        Largest number of days between the two scans.
    reference
        `"first"`: the first visit to the target scanner.
    """

    day: Text | None = None
    maximum_gap_days: Count | None = None
    reference: Literal["first"] | None = None

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if self.reference is None and (self.day is None or self.maximum_gap_days is None):
            raise ValueError("needs day and maximum_gap_days, or reference = 'first'")
        if self.reference is not None and (self.day, self.maximum_gap_days) != (None, None):
            raise ValueError("has both a day and a reference; remove one of them")
        return self

    @field_validator("day")
    @classmethod
    def _one_group(cls, day: str | None) -> str | None:
        if day is None:
            return None
        try:
            groups = re.compile(day).groups
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from None
        if groups != 1:
            raise ValueError("needs one group, the day in a session's label, as in 'd([0-9]+)'")
        return day

    def day_of(self, session: str) -> int | None:
        """Return the day of a session, or None if its label does not encode it.

        Examples
        --------
        >>> Pairs(day="d([0-9]+)", maximum_gap_days=365).day_of("d0129")
        129
        """
        match = None if self.day is None else re.fullmatch(self.day, session)
        return int(match[1]) if match else None


class Recipe(Table):
    """How a study becomes a cohort.

    Attributes
    ----------
    name
        Name of the cohort.
    target
        Name of the target domain. It may be left out if each scanner is a domain: then it is the
        scanner with the most scans.
    domains
        Criteria by domain, the target first; empty if each scanner is a domain.
    labels
        None if the study has no labels.
    split
        How subjects are split.
    pairs
        None if all scans of a subject are in one space.
    scanners
        How file names name the scanner; None if they do not.
    subjects
        Labels by the name of the subject, for subjects that have more than one label.
    simulated
        Whether the scans are simulated.
    """

    name: Text
    target: Text = ""
    domains: Mapping[DomainName, DomainCriteria] = Field(default_factory=dict)
    labels: Labels | None = None
    split: Split = Split()
    pairs: Pairs | None = None
    scanners: ScannerLabels | None = None
    subjects: Mapping[Text, LabelList] = Field(default_factory=dict)
    simulated: bool = False

    @field_validator("domains")
    @classmethod
    def _target_first(
        cls, domains: Mapping[str, DomainCriteria], info: ValidationInfo
    ) -> Mapping[str, DomainCriteria]:
        target = info.data.get("target")
        if not target or not domains:
            return domains
        if target not in domains:
            raise ValueError(str(UserError.unknown("domain for the target", target, domains)))
        return {target: domains[target], **domains}

    @field_validator("split")
    @classmethod
    def _sizes_of_domains(cls, split: Split, info: ValidationInfo) -> Split:
        """Leave out the sizes of a domain that an extending recipe removes."""
        names = info.data.get("domains", {})
        sizes = {name: split.published[name] for name in names if name in split.published}
        return split.model_copy(update={"published": sizes})

    @field_validator("subjects")
    @classmethod
    def _one_subject_per_label(
        cls, subjects: Mapping[str, tuple[str, ...]]
    ) -> Mapping[str, tuple[str, ...]]:
        bare = {name: tuple(map(bare_label, labels)) for name, labels in subjects.items()}
        labels = [label for group in bare.values() for label in group]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f"the label '{label}' is given twice; give it to one subject")
        return bare

    @model_validator(mode="after")
    def _domains_or_each_scanner(self) -> Self:
        each = self.scanners is not None and self.scanners.each
        if each and self.domains:
            raise ValueError("has domains, and scanners.each makes others; remove one of them")
        for key in () if each else ("target", "domains"):
            if not getattr(self, key):
                raise ValueError(f"{key}: the key is missing")
        for name, domain in self.domains.items():
            if domain.scanner is not None and self.scanners is None:
                raise ValueError(
                    f"domain '{name}' asks for a scanner, and no table scanners says where file "
                    "names have it"
                )
        return self

    @property
    def subject_of(self) -> dict[str, str]:
        """The subject of each label that `subjects` names."""
        return {label: name for name, labels in self.subjects.items() for label in labels}

    def with_each_scanner(self, scanners: Mapping[str, int]) -> Self:
        """Return the recipe with a domain for each scanner, if it asks for that.

        Parameters
        ----------
        scanners
            Number of scans by scanner.

        Raises
        ------
        UserError
            If no scanner is known, or two have one name, or none is the target.
        """
        if self.scanners is None or not self.scanners.each:
            return self
        labels: dict[str, list[str]] = {}
        for label in sorted(scanners):
            labels.setdefault(slug(label), []).append(label)
        if not labels:
            raise UserError(f"recipe '{self.name}': no scan names its scanner as scanners says")
        most = max(labels, key=lambda name: sum(scanners[label] for label in labels[name]))
        target = self.target or most
        if target not in labels:
            raise UserError.unknown(
                f"scanner of recipe '{self.name}' for the target", target, labels
            )
        domains = {name: DomainCriteria(scanner=tuple(group)) for name, group in labels.items()}
        domains = {target: domains.pop(target), **domains}
        return self.model_copy(update={"target": target, "domains": domains})

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the source domains."""
        return tuple(self.domains)[1:]


SHIPPED = Path(__file__).with_name("recipes")


def shipped_recipes() -> list[str]:
    """Return the names of the recipes that ship with harmbench."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def load_recipe(path: Path, base: str | None = None) -> Recipe:
    """Read and check a recipe.

    A recipe that `extends = "NAME"` a shipped recipe contains the differences only: tables
    are merged key by key, and `false` removes a key of the shipped recipe.

    Parameters
    ----------
    path
        The TOML file.
    base
        Name of the shipped recipe that a recipe without `extends` extends.

    Raises
    ------
    UserError
        In one line, if the recipe is wrong.
    """
    content = read_toml(path, f"recipe {path}")
    base = content.pop("extends", base)
    if base is not None:
        if base not in shipped_recipes():
            error = UserError.unknown("shipped recipe", str(base), shipped_recipes())
            raise UserError(f"recipe {path.name}: extends: {error}")
        content = _merged(read_toml(SHIPPED / f"{base}.toml", f"recipe {base}"), content)
    return Recipe.checked(content, f"recipe {path.name}")


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the base with the changes; tables merge key by key, and `false` removes a key."""
    merged = dict(base)
    for key, value in changes.items():
        base_value = merged.get(key)
        if value is False and key in merged:
            del merged[key]
        elif isinstance(value, dict) and isinstance(base_value, dict):
            merged[key] = _merged(base_value, value)
        else:
            merged[key] = value
    return merged


def equal(value: object, accepted: Value) -> bool:
    """Whether a value of a data set equals a value of the recipe, as numbers or else as text.

    Text is compared without case and surrounding blanks, since scanners differ in both.

    Examples
    --------
    >>> equal("3", 3.0), equal("TrioTim ", "triotim"), equal("1.5", 3), equal(None, "None")
    (True, True, False, False)
    """
    if value is None:
        return False
    try:
        return math.isclose(float(str(value)), float(accepted))
    except ValueError:
        return str(value).strip().casefold() == str(accepted).strip().casefold()
