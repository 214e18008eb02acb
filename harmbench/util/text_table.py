"""Tables in text files: any common encoding and separator, with the line of each row."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harmbench.errors import UserError
from harmbench.util.unfetched import why_unfetched

# Those with a byte-order mark; UTF-16 is what spreadsheets call "Unicode text".
_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_SEPARATORS = {"\t": "tabs", ",": "commas", ";": "semicolons"}
# Values that spreadsheets and statistical programs write in place of a missing value.
_MISSING = {"", "n/a", "na", "nan"}


@dataclass(frozen=True, kw_only=True)
class TextTable:
    """A table with one header line.

    Attributes
    ----------
    path
        The file.
    columns
        Names of the columns.
    rows
        The values of each row by column, without surrounding blanks.
    lines
        The line of the file in which each row ends, from 1.
    notes
        What the user must know of how the file was read.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Mapping[str, str], ...]
    lines: tuple[int, ...]
    notes: tuple[str, ...] = ()


def read_text_table(path: Path, needed: Sequence[str]) -> TextTable:
    """Read a table whose columns are separated by tabs, commas or semicolons.

    The encoding is UTF-8, UTF-16, or else Windows-1252, which includes Latin-1. Empty lines are
    ignored, and so is a first line `sep=;` of a spreadsheet.

    Parameters
    ----------
    path
        The file. Its ending says which separator is tried first: a tab for `.tsv`.
    needed
        Columns that the table must have.

    Raises
    ------
    UserError
        If the file cannot be read, a column is missing or comes twice, or a row has too few or
        too many fields.
    """
    text, notes = _decoded(path)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    first = next((number for number, line in enumerate(lines) if line.strip(" \t,;")), len(lines))
    if first < len(lines) and re.fullmatch("sep=.", lines[first].strip(), re.IGNORECASE):
        first += 1
    header = lines[first] if first < len(lines) else ""
    separator = _separator(path, header, needed)
    # In a file with tabs a quotation mark is a character like any other, as BIDS has it.
    quoting: Literal[0, 3] = csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL
    reader = csv.reader(
        io.StringIO("\n".join(lines[first:]), newline=""),
        delimiter=separator,
        quoting=quoting,
        skipinitialspace=separator != "\t",
    )
    try:
        parsed = [(reader.line_num + first, [_value(field) for field in row]) for row in reader]
    except csv.Error as error:
        raise UserError(
            f"{path} cannot be read: line {reader.line_num + first}: {error}"
        ) from error
    columns = parsed[0][1] if parsed else []
    _check_columns(path, columns, needed)
    rows = [(line, values) for line, values in parsed[1:] if any(values)]
    return TextTable(
        path=path,
        columns=tuple(column for column in columns if column),
        rows=tuple(_row(path, columns, line, values, separator) for line, values in rows),
        lines=tuple(line for line, _ in rows),
        notes=notes,
    )


def is_missing(value: str) -> bool:
    """Whether a value stands for a missing one: empty, `n/a`, `NA` or `NaN`."""
    return value.strip().casefold() in _MISSING


def decoded_text(content: bytes) -> tuple[str, bool]:
    """Return text that is UTF-8 or UTF-16, or else Windows-1252; and whether it was the last.

    Examples
    --------
    >>> decoded_text("né".encode("utf-16")), decoded_text("né".encode("latin-1"))
    (('né', False), ('né', True))
    """
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8")
    if encoding == "utf-8" and b"\0" in content:
        # UTF-16 without a mark: of ASCII characters one of the two bytes is zero.
        encoding = "utf-16-le" if content[1::2].count(0) > content[::2].count(0) else "utf-16-be"
    try:
        return content.decode(encoding), False
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace"), True


def _decoded(path: Path) -> tuple[str, tuple[str, ...]]:
    reason = why_unfetched(path)
    if reason is not None:
        raise UserError(f"{path} {reason}")
    try:
        text, foreign = decoded_text(path.read_bytes())
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    note = f"{path.name} is not UTF-8 and was read as Windows-1252: check its special characters"
    return text, (note,) if foreign else ()


def _separator(path: Path, header: str, needed: Sequence[str]) -> str:
    """Return the separator by which the header has the needed columns, else the best guess."""
    order = sorted(_SEPARATORS, key=lambda separator: (separator == "\t") != _is_tsv(path))
    for separator in order:
        if needed and set(needed) <= {_value(field) for field in header.split(separator)}:
            return separator
    if (
        needed
        and not any(separator in header for separator in order)
        and set(needed) <= set(header.split())
    ):
        raise UserError(
            f"the columns of {path} are separated by blanks; separate them by "
            f"{_SEPARATORS[order[0]]}"
        )
    return max(order, key=header.count)


def _is_tsv(path: Path) -> bool:
    return path.suffix.lower() == ".tsv"


def _value(field: str) -> str:
    """Return a field without blanks, and without quotation marks that enclose it."""
    field = field.strip()
    quoted = len(field) > 1 and field[0] == field[-1] == '"'
    return field[1:-1].replace('""', '"').strip() if quoted else field


def _check_columns(path: Path, columns: Sequence[str], needed: Sequence[str]) -> None:
    for column in needed:
        if column not in columns:
            raise UserError.unknown(f"column in {path}", column, [name for name in columns if name])
    for column in columns:
        if column and columns.count(column) > 1:
            raise UserError(f"{path} has the column '{column}' twice; rename or remove one")


def _row(
    path: Path, columns: Sequence[str], line: int, values: Sequence[str], separator: str
) -> dict[str, str]:
    """Return a row by column. Columns without a name, such as row numbers, are ignored."""
    if len(values) < len(columns) or any(values[len(columns) :]):
        hint = "; are there blanks in place of a tab?" if separator == "\t" else ""
        raise UserError(
            f"{path}, line {line}: {len(values)} fields, but the first line has "
            f"{len(columns)}{hint}"
        )
    return {name: value for name, value in zip(columns, values, strict=False) if name}
