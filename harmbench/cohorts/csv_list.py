"""A cohort from a CSV file that lists its scans."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from harmbench.cohorts.bids.recipe import DomainCriteria, Labels, Recipe
from harmbench.cohorts.bids.scan import Scan
from harmbench.cohorts.study.covariates import covariates_of
from harmbench.cohorts.study.scans import StudyScans
from harmbench.cohorts.study.source import Study
from harmbench.data.split_file import checked_folds, checked_splits, one_per_subject
from harmbench.errors import UserError
from harmbench.preprocessing.file_names import refuse_dicom
from harmbench.util.name_list import first_names
from harmbench.util.subject_labels import alike_labels, bare_label
from harmbench.util.text_table import TextTable, is_missing, read_text_table
from harmbench.util.unfetched import why_unfetched

_NEEDED = ("path", "subject", "session", "domain")
_OPTIONAL = ("mask", "labels", "split", "fold", "age", "person", "simulated")
# Columns that say where and what a scan is; the others are covariates.
_NO_COVARIATES = tuple(column for column in (*_NEEDED, *_OPTIONAL) if column != "age")
_TRUTH = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False, "": False}
# The column of the label volumes, and the tissue of each value, which no recipe can change.
_LABELS = Labels(
    derivative="labels", suffix="labels", csf=(1,), grey_matter=(2,), white_matter=(3,)
)


class Listed(Study):
    """Scans from a CSV file with one row per scan: `path,subject,session,domain`.

    It may also have the columns `mask`, `labels`, `split`, `fold`, `age`, `person` and
    `simulated`; any other column is a covariate. Paths are absolute or relative to the file's
    folder. The target is the domain called `target`, or else the domain of the first row. Labels
    are 1 CSF, 2 grey matter and 3 white matter. A `person` has several values of `subject`. Scans
    of one subject in two domains are pairs. All rows of a subject have the same split and fold.
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
        table = read_text_table(self._file, _NEEDED)
        self._notes = [*table.notes, *_notes(table)]
        for line, row in zip(table.lines, table.rows, strict=True):
            _check(row, self._location(line))
        self._domains = self._read(table)
        named = {
            column: one_per_subject(
                [(_subject(row), row[column]) for row in table.rows if column in table.columns],
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
            simulated=any(_is_simulated(row) for row in table.rows),
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
        domains = {name: tuple(self._domains[name]) for name in self.recipe.domains}
        return StudyScans(domains=domains, notes=self._notes)

    def _location(self, line: int) -> str:
        return f"{self._file}, line {line}"

    def _read(self, table: TextTable) -> dict[str, list[Scan]]:
        """Return the scans of each domain; an error message names the line."""
        domains: dict[str, list[Scan]] = {}
        lines: dict[tuple[str, str, str], int] = {}
        for line, row in zip(table.lines, table.rows, strict=True):
            location = self._location(line)
            key = (row["domain"], bare_label(row["subject"]), row["session"])
            if key in lines:
                raise UserError(
                    f"{location} has the subject, session and domain of line {lines[key]}"
                )
            lines[key] = line
            domains.setdefault(row["domain"], []).append(self._scan(row, location))
        if not domains:
            raise UserError(f"{self._file} lists no scans")
        return domains

    def _scan(self, row: Mapping[str, str], location: str) -> Scan:
        """Return the scan of a row, after checking that its files exist."""
        path, mask, labels = (
            self.root / Path(row[column]).expanduser() if row.get(column) else None
            for column in ("path", "mask", "labels")
        )
        assert path is not None
        for file in (path, mask, labels):
            reason = None if file is None else why_unfetched(file)
            if reason is not None:
                raise UserError(f"{location}: {file} {reason}")
            if file is not None and not file.is_file():
                raise UserError(f"{location}: there is no file {file}")
        if not re.search(r"\.nii(\.gz)?$", path.name):
            refuse_dicom(path)
        return Scan(
            path=path,
            subject=_subject(row),
            session=row["session"],
            label=bare_label(row["subject"]),
            mask=mask,
            labels=labels,
            covariates=covariates_of((row,), _NO_COVARIATES),
        )


def _subject(row: Mapping[str, str]) -> str:
    """Return the subject of a row: the person, if the row names one."""
    person = row.get("person", "")
    return bare_label(row["subject"]) if is_missing(person) else person


def _is_simulated(row: Mapping[str, str]) -> bool:
    return _TRUTH[row.get("simulated", "").casefold()]


def _check(row: Mapping[str, str], location: str) -> None:
    """Check the values of a row that are no names of files."""
    for column in _NEEDED:
        if not row[column]:
            raise UserError(f"{location} has no {column}")
    # The name becomes a folder's, and part of a task's.
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", row["domain"]):
        raise UserError(
            f"{location}: domain '{row['domain']}' may have letters, digits, - and _ only"
        )
    if row.get("simulated", "").casefold() not in _TRUTH:
        raise UserError(f"{location}: simulated is '{row['simulated']}'; expected: yes or no")


def _notes(table: TextTable) -> list[str]:
    """Return what may be a slip: columns almost like others, and labels almost like others."""
    notes = []
    free = [column for column in _OPTIONAL if column not in table.columns]
    for column in table.columns:
        close = get_close_matches(column, free, n=1, cutoff=0.75)
        if column not in (*_NEEDED, *_OPTIONAL) and close:
            notes.append(f"the column '{column}' is a covariate; did you mean '{close[0]}'?")
    alike = [" and ".join(group) for group in alike_labels(row["subject"] for row in table.rows)]
    if alike:
        notes.append(f"labels that are alike count as different subjects: {first_names(alike)}")
    return notes
