"""A cohort from a CSV file that lists its scans."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harmbench.cohorts.bids.layout import Scan
from harmbench.cohorts.bids.recipe import DomainCriteria, Labels, Recipe
from harmbench.cohorts.study.scans import StudyScans
from harmbench.cohorts.study.source import Study
from harmbench.data.split_file import checked_folds, checked_splits, one_per_subject
from harmbench.errors import UserError
from harmbench.preprocessing.file_names import refuse_dicom

_NEEDED = ("path", "subject", "session", "domain")
_OPTIONAL = ("mask", "labels", "split", "fold", "age")
# The column of the label volumes, and the tissue of each value, which no recipe can change.
_LABELS = Labels(
    derivative="labels", suffix="labels", csf=(1,), grey_matter=(2,), white_matter=(3,)
)


class Listed(Study):
    """Scans from a CSV file with one row per scan: `path,subject,session,domain`.

    It may also have the columns `mask`, `labels`, `split`, `fold` and `age`. Paths are absolute
    or relative to the file's folder. The target is the domain called `target`, or else the
    domain of the first row. Labels are 1 CSF, 2 grey matter and 3 white matter. Scans of one
    subject in two domains are pairs. All rows of a subject have the same split and fold.
    """

    name = "csv"
    summary = "scans from a CSV file; columns path, subject, session, domain[, mask, labels, split]"

    def __init__(
        self, argument: str | None = None, recipe: Path | None = None, **preparation: Any
    ) -> None:
        super().__init__(argument, recipe, **preparation)
        if not argument:
            raise UserError("the cohort 'csv' needs a file: --cohort FILE.csv")
        if recipe is not None:
            raise UserError(f"a CSV file already names its domains: leave out --recipe {recipe}")
        self._file = Path(argument).expanduser()
        self.root = self._file.parent
        rows = list(self._checked_rows())
        self._domains = self._read(rows)
        named = {
            column: one_per_subject(
                [(values["subject"], values[column]) for values in rows if column in values],
                column,
                str(self._file),
            )
            for column in ("split", "fold")
        }
        self.splits = checked_splits(named["split"], str(self._file))
        self.folds = checked_folds(named["fold"], str(self._file))
        names = list(self._domains)
        if "target" in names:
            names.sort(key=lambda name: name != "target")
        if len(names) < 2:
            raise UserError(f"{self._file} has one domain, '{names[0]}'; a source is needed, too")
        self.target, *sources = names
        self.sources = tuple(sources)
        self.recipe = Recipe(
            name=self._file.stem,
            target=self.target,
            domains={name: DomainCriteria(sidecar=None) for name in names},
            labels=_LABELS if any(s.labels for d in self._domains.values() for s in d) else None,
        )

    @property
    def title(self) -> str:
        """`csv:` and the file's name."""
        return f"{self.name}:{self.recipe.name}"

    @property
    def listing(self) -> Path:
        """The CSV file."""
        return self._file

    def find(self) -> StudyScans:
        """Return the scans as the file lists them."""
        for domain in self.recipe.domains:
            subjects = {scan.subject for scan in self._domains[domain]}
            if len(subjects) == 1:
                raise UserError(
                    f"domain '{domain}' of {self._file} has only one subject, "
                    f"'{subjects.pop()}'; a split by subject needs at least two"
                )
        return StudyScans({name: tuple(self._domains[name]) for name in self.recipe.domains}, {})

    def _checked_rows(self) -> Iterator[dict[str, str]]:
        """Yield the values of each row; an error message names the line."""
        for line, row in enumerate(self._rows(), start=2):
            yield _checked_values(row, self._location(line))

    def _location(self, line: int) -> str:
        return f"{self._file}, line {line}"

    def _read(self, rows: Sequence[dict[str, str]]) -> dict[str, list[Scan]]:
        """Return the scans of each domain; an error message names the line."""
        domains: dict[str, list[Scan]] = {}
        lines: dict[tuple[str, str, str], int] = {}
        for line, values in enumerate(rows, start=2):
            location = self._location(line)
            key = (values["domain"], values["subject"], values["session"])
            if key in lines:
                raise UserError(
                    f"{location} has the subject, session and domain of line {lines[key]}"
                )
            lines[key] = line
            domains.setdefault(values["domain"], []).append(self._scan(values, location))
        if not domains:
            raise UserError(f"{self._file} lists no scans")
        return domains

    def _rows(self) -> list[dict[str, str]]:
        """Read the file, and check its columns."""
        try:
            with self._file.open(encoding="utf-8-sig", newline="") as stream:
                reader = csv.DictReader(stream, skipinitialspace=True)
                rows = list(reader)
                columns = reader.fieldnames or []
        except FileNotFoundError as error:
            raise UserError(f"there is no file {self._file}") from error
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise UserError(f"{self._file} cannot be read: {error}") from error
        for column in _NEEDED:
            if column not in columns:
                raise UserError.unknown(f"column in {self._file}", column, columns)
        for column in columns:
            if column not in (*_NEEDED, *_OPTIONAL):
                allowed = ", ".join((*_NEEDED, *_OPTIONAL))
                raise UserError(
                    f"{self._file} has an unknown column '{column}'; expected: {allowed}"
                )
        return rows

    def _scan(self, values: dict[str, str], location: str) -> Scan:
        """Return the scan of a row, after checking that its files exist."""
        path, mask, labels = (
            self.root / Path(values[column]).expanduser() if values.get(column) else None
            for column in ("path", "mask", "labels")
        )
        assert path is not None
        for file in (path, mask, labels):
            if file is not None and not file.is_file():
                raise UserError(f"{location}: there is no file {file}")
        if not re.search(r"\.nii(\.gz)?$", path.name):
            refuse_dicom(path)
        return Scan(
            path=path,
            subject=values["subject"],
            session=values["session"],
            participant={"age": values.get("age", "")},
            sidecar=None,
            mask=mask,
            labels=labels,
        )


def _checked_values(row: dict[str, str], location: str) -> dict[str, str]:
    """Return a row's values without surrounding spaces, after checking that none is missing."""
    if None in row or None in row.values():
        raise UserError(f"{location} has not as many fields as the first line")
    values = {column: value.strip() for column, value in row.items()}
    for column in _NEEDED:
        if not values[column]:
            raise UserError(f"{location} has no {column}")
    # The name becomes a folder's, and part of a task's.
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", values["domain"]):
        raise UserError(
            f"{location}: domain '{values['domain']}' may have letters, digits, - and _ only"
        )
    return values
