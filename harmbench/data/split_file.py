"""Files that name the split or the fold of each subject."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pandas as pd

from harmbench.data.cohort import Cohort
from harmbench.data.folds import stratified_folds
from harmbench.data.splits import SPLITS
from harmbench.errors import UserError
from harmbench.util.hashing import digest
from harmbench.util.name_list import first_names
from harmbench.util.subject_labels import bare_label, match_labels
from harmbench.util.text_table import read_text_table

_SUBJECT = ("subject", "participant_id")

_Value = TypeVar("_Value", str, int)


@dataclass(frozen=True)
class SplitFile:
    """The content of a split file.

    Attributes
    ----------
    path
        The file.
    splits, folds
        Split and fold by subject; empty if the file has no such column.
    """

    path: Path
    splits: Mapping[str, str]
    folds: Mapping[str, int]


def read_split_file(path: Path) -> SplitFile:
    """Read a CSV or TSV file with one row for each subject or scan.

    Parameters
    ----------
    path
        The file. It has a column `subject` or `participant_id`, whose values may begin with
        `sub-`, and a column `split`, a column `fold`, or both. Other columns are ignored.

    Raises
    ------
    UserError
        If the file cannot be read, or a value is missing, wrong or contradicts another row.
    """
    file = path.expanduser()
    if not file.exists() and not file.is_symlink():
        raise UserError(f"there is no split file {path}")
    try:
        table = read_text_table(file, ())
    except UserError as error:
        raise UserError(f"split file: {error}") from error
    named = [column for column in _SUBJECT if column in table.columns]
    if not named or not {"split", "fold"} & set(table.columns):
        raise UserError(
            f"split file {path} needs a column subject or participant_id, and a column split or "
            f"fold; it has {', '.join(table.columns) or 'none'}"
        )
    values = {
        column: one_per_subject(
            [(bare_label(row[named[0]]), row[column]) for row in table.rows], column, str(path)
        )
        for column in ("split", "fold")
        if column in table.columns
    }
    return SplitFile(
        path=path,
        splits=checked_splits(values.get("split", {}), str(path)),
        folds=checked_folds(values.get("fold", {}), str(path)),
    )


def one_per_subject(rows: Iterable[tuple[str, str]], column: str, file: str) -> dict[str, str]:
    """Return the value of each subject, after checking that its rows agree.

    Parameters
    ----------
    rows
        Subject and value of each row.
    column, file
        Names for the error message.

    Raises
    ------
    UserError
        If two rows of a subject contradict each other.
    """
    values: dict[str, str] = {}
    for subject, text in rows:
        value = text.strip()
        if values.setdefault(subject, value) != value:
            raise UserError(
                f"{file}: subject '{subject}' has the {column}s '{values[subject]}' and "
                f"'{value}'; all scans of a subject need the same {column}"
            )
    return values


def checked_splits(splits: Mapping[str, str], file: str) -> dict[str, str]:
    """Check that every split is one of `SPLITS`."""
    for subject, split in splits.items():
        if split not in SPLITS:
            raise UserError(
                f"{file}: subject '{subject}' has the split '{split}'; expected: "
                f"{', '.join(SPLITS)}"
            )
    return dict(splits)


def checked_folds(folds: Mapping[str, str], file: str) -> dict[str, int]:
    """Convert folds to whole numbers from 1, and check them."""
    numbers = {}
    for subject, fold in folds.items():
        if not fold.isascii() or not fold.isdigit() or int(fold) < 1:
            raise UserError(
                f"{file}: subject '{subject}' has the fold '{fold}'; expected: a whole number "
                "from 1"
            )
        numbers[subject] = int(fold)
    return numbers


def with_split_file(cohort: Cohort, file: SplitFile) -> Cohort:
    """Return the cohort with the splits and folds of a file.

    The key of the cohort changes if these are not its own splits and `stratified_folds`.

    Raises
    ------
    UserError
        If the file lacks subjects of the cohort, or the cohort's normalisation learned from
        the training subjects of another split.
    """
    if cohort.facts.get("standard"):
        raise UserError(
            f"the normalisation '{cohort.normalization}' learned from the training subjects of "
            "the cohort's own split: choose another --normalize, or leave out --split-file"
        )
    subjects = sorted(set(cohort.table["subject"]))
    splits = _by_subject(file.splits, cohort, file.path)
    folds = _by_subject(file.folds, cohort, file.path)
    for named in (splits.keys(), folds.keys()):
        missing = [subject for subject in subjects if named and subject not in named]
        if missing:
            raise UserError(
                f"split file {file.path} lacks the subjects {first_names(missing)} of cohort "
                f"'{cohort.name}'; add a row for each"
            )
    table = cohort.table.copy()
    if splits:
        table["split"] = table["subject"].map(splits)
    if folds:
        table["fold"] = table["subject"].map(folds)
    changed = cohort.with_splits(table, cohort.split)
    own_splits = table["split"].equals(cohort.table["split"])
    own_folds = not folds or folds == stratified_folds(cohort, max(folds.values()))
    if not (own_splits and own_folds):
        changed.key = digest("split file", cohort.key, list(table["split"]), folds)
    return changed


def _by_subject(values: Mapping[str, _Value], cohort: Cohort, path: Path) -> dict[str, _Value]:
    """Return values by the subjects of the cohort; a file may name them by any of their labels."""
    names: dict[str, set[str]] = {}
    for subject, details in zip(cohort.table["subject"], cohort.table["details"], strict=True):
        names.setdefault(subject, {subject}).add(details.get("label", subject))
    matched = match_labels((name for group in names.values() for name in group), values)
    result: dict[str, _Value] = {}
    for subject, group in names.items():
        found = {values[matched[name]] for name in group if name in matched}
        if len(found) > 1:
            raise UserError(
                f"split file {path}: the labels {first_names(sorted(group))} are one subject and "
                f"need one value; they have {first_names(sorted(map(str, found)))}"
            )
        for value in found:
            result[subject] = value
    return result


def split_table(cohort: Cohort, fold_of: Mapping[str, int]) -> pd.DataFrame:
    """Return subject, session, domain and split of each scan, and fold and age if known.

    Parameters
    ----------
    cohort
        The cohort; scans of its target and sources are listed.
    fold_of
        Fold of each subject; empty without folds.
    """
    table = cohort.table[cohort.table["domain"].isin([cohort.target, *cohort.sources])]
    listed = table[["subject", "session", "domain", "split"]].copy()
    if fold_of:
        listed["fold"] = table["subject"].map(dict(fold_of))
    if table["age"].notna().any():
        listed["age"] = table["age"]
    return listed.reset_index(drop=True)
