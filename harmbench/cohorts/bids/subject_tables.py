"""`participants.tsv` and `sessions.tsv`: one row for each subject, one for each session."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harmbench.errors import UserError
from harmbench.util.name_list import first_names
from harmbench.util.subject_labels import bare_label, match_labels
from harmbench.util.text_table import TextTable, read_text_table


@dataclass(frozen=True, kw_only=True)
class LabelledRows:
    """The rows of a table by the labels of folders.

    Attributes
    ----------
    columns
        The columns of the table, whether or not a row fits a folder.
    rows
        Row by the label of the folder; folders without a row are not in it.
    notes
        Rows and folders that do not fit each other, and what else is to be known.
    """

    columns: tuple[str, ...] = ()
    rows: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_participants(root: Path, labels: Sequence[str]) -> LabelledRows:
    """Read `participants.tsv`, which may be missing.

    Parameters
    ----------
    root
        The BIDS folder.
    labels
        The labels of the folders `sub-*`.

    Raises
    ------
    UserError
        If the table cannot be read, or two rows of a participant contradict each other.
    """
    return _read(root / "participants.tsv", "participant_id", "sub-", labels)


def read_sessions(subject_folder: Path, labels: Sequence[str]) -> LabelledRows:
    """Read the table `sub-*_sessions.tsv` of a subject, which may be missing.

    Parameters
    ----------
    subject_folder
        The folder `sub-*`.
    labels
        The labels of its folders `ses-*`.

    Raises
    ------
    UserError
        As `read_participants`.
    """
    path = subject_folder / f"{subject_folder.name}_sessions.tsv"
    return _read(path, "session_id", "ses-", labels)


def read_scans(folder: Path) -> dict[str, Mapping[str, str]]:
    """Read the table `*_scans.tsv` of a subject's or a session's folder, which may be missing.

    Returns
    -------
    dict
        Row by the file's path in the folder.

    Raises
    ------
    UserError
        If the table cannot be read.
    """
    rows: dict[str, Mapping[str, str]] = {}
    for path in sorted(folder.glob("*_scans.tsv")):
        table = read_text_table(path, ("filename",))
        rows |= {row["filename"]: row for row in table.rows}
    return rows


def _read(path: Path, column: str, prefix: str, labels: Sequence[str]) -> LabelledRows:
    if not path.exists() and not path.is_symlink():
        return LabelledRows()
    table = read_text_table(path, (column,))
    rows = _unique_rows(table, column, prefix)
    matched = match_labels(labels, rows)
    return LabelledRows(
        columns=table.columns,
        rows={label: rows[name] for label, name in matched.items()},
        notes=(*table.notes, *_misfits(path.name, prefix, labels, rows, matched)),
    )


def _unique_rows(table: TextTable, column: str, prefix: str) -> dict[str, Mapping[str, str]]:
    """Return each label's row, after checking that repeated rows are equal."""
    rows: dict[str, Mapping[str, str]] = {}
    lines: dict[str, int] = {}
    for line, row in zip(table.lines, table.rows, strict=True):
        label = bare_label(row[column], prefix)
        if not label:
            raise UserError(f"{table.path}, line {line} has no {column}")
        known = rows.setdefault(label, row)
        for name in table.columns:
            if name != column and known[name] != row[name]:
                raise UserError(
                    f"{table.path}: lines {lines[label]} and {line} of {prefix}{label} contradict "
                    f"each other in the column {name}, '{known[name]}' and '{row[name]}'; remove "
                    "one of them"
                )
        lines.setdefault(label, line)
    return rows


def _misfits(
    name: str,
    prefix: str,
    labels: Sequence[str],
    rows: Iterable[str],
    matched: Mapping[str, str],
) -> list[str]:
    """Return a line on labels that differ in spelling, rows without a folder, and the reverse."""
    notes = []
    spelled = [f"{row} for {prefix}{label}" for label, row in matched.items() if row != label]
    if spelled:
        notes.append(f"{name} spells labels in another way: {first_names(spelled)}")
    used = set(matched.values())
    unused = [row for row in rows if row not in used]
    lacking = [label for label in labels if label not in matched]
    if lacking and prefix == "sub-":
        folders = first_names(f"{prefix}{label}" for label in lacking)
        other = f"; it has {first_names(unused)}" if unused else ""
        notes.append(f"no row of {name} fits {folders}{other}")
    if unused:
        folders = first_names(f"{prefix}{row}" for row in unused)
        notes.append(f"{name} has rows without a folder: {folders}")
    return notes
