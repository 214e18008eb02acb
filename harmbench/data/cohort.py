"""A prepared cohort on disk: scans of all domains on one grid."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import asdict, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import pandas as pd

from harmbench.data.cohort_source import CohortSource
from harmbench.data.cohort_writer import CohortWriter, ScanRecord
from harmbench.data.covariate_values import typed_columns
from harmbench.data.covariates import covariate_table
from harmbench.data.prepare_options import MINMAX
from harmbench.data.scan_set import ScanKey, ScanSet
from harmbench.data.scans import Grid
from harmbench.data.volumes import VolumeSource
from harmbench.util import folders
from harmbench.util.files import hold_lock
from harmbench.util.hashing import digest
from harmbench.util.progress import Progress
from harmbench.util.source_code import code_version

_COLUMNS = [column.name for column in fields(ScanRecord)]

# The fact that names the scans on which a tool failed: they may be usable.
TOOL_FAILURES = "tool_failures"


class Cohort:
    """A prepared cohort on disk: one target domain, source domains, splits by subject.

    Attributes
    ----------
    name
        Label of its source, such as `"phantom"` or `"bids:oasis3+nyul"`.
    key
        Content hash of its files and how they are prepared; recorded with every result.
    code
        Hash of the code that prepared it, empty if unknown.
    kind
        `"phantom"`, `"simulated"` or `"real"`, shown wherever a number from it is.
    target, sources
        Names of the domains.
    grid
        The grid all scans lie on.
    left_out
        Why each scan that was left out was left out.
    normalization
        How intensities were normalised.
    facts
        Further facts reported by its source, as JSON types.
    table
        One row for every scan, with the columns of `ScanRecord`.
    split, fold
        Of the table's test subjects: as in `Cell`.
    fit_cohort
        Another cohort that all fits are made on (`harmbench.data.fit_cohort`); usually None.
    """

    fit_cohort: Cohort | None = None

    def __init__(self, directory: Path, name: str | None = None, *, code: str = "") -> None:
        description = json.loads((directory / "cohort.json").read_text())
        self.directory = directory
        self.code = code
        self.name: str = description["name"] if name is None else name
        self.key: str = description["key"]
        self.kind: str = description["kind"]
        self.target: str = description["target"]
        self.sources: tuple[str, ...] = tuple(description["sources"])
        self.left_out: dict[str, str] = description["left_out"]
        self.grid = Grid.of(description["grid"])
        self.normalization: str = description.get("normalization", MINMAX)
        self.facts: dict[str, Any] = description.get("facts", {})
        # Through the record, so that cohorts prepared before a column came have it, too.
        self.table = pd.DataFrame(
            [asdict(ScanRecord.from_json(scan)) for scan in description["scans"]]
        )
        self.split = "test"
        self.fold = 0
        self._volume: Callable[[ScanRecord], VolumeSource | None] = _no_volume
        # By domain and row; shared by all views, since no split changes a scan.
        self._whole_scans: dict[tuple[str, int], VolumeSource | None] = {}

    @classmethod
    def open(
        cls,
        source: CohortSource,
        grid: Grid,
        home: Path,
        progress: Progress,
        *,
        retry: bool = False,
    ) -> Self:
        """Open the prepared cohort of a source; it is prepared first if necessary.

        Of two processes that want one cohort at the same time, the second waits for the
        first. The folder takes its name only when it is complete; what a killed process
        left unfinished is removed by the next.

        Parameters
        ----------
        source, grid, home
            The source, the grid of the scans, and the folder of the stores.
        progress
            Shows the progress of the preparation.
        retry
            Whether to prepare the cohort again if a tool failed on some of its scans.
        """
        directory = cls.path(source, grid, home)
        if _must_prepare(directory, retry=retry):
            lock = directory.with_name(f".{directory.name}.lock")
            notice = "another process is preparing this cohort; waiting for it"
            with hold_lock(lock, notice, progress):
                folders.restore(directory)
                if _must_prepare(directory, retry=retry):
                    cls._build(source, grid, home, directory, progress)
        cohort = cls(directory, source.label, code=code_version(type(source)))
        standard = tuple(cohort.facts.get("standard", ()))
        cohort._volume = lambda scan: source.volume(scan, standard, grid, home)
        for doubt in cohort.facts.get("doubts", ()):
            progress.log(f"doubt: {doubt}")
        return cohort

    @staticmethod
    def _build(
        source: CohortSource, grid: Grid, home: Path, directory: Path, progress: Progress
    ) -> None:
        with folders.replacing(directory) as building:
            source.prepare(grid, home, CohortWriter(building, grid), progress)

    @staticmethod
    def path(source: CohortSource, grid: Grid, home: Path) -> Path:
        """Where the prepared cohort of a source lies, or will lie."""
        key = digest(source.key(grid, home), code_version(type(source)))
        return home / "cohorts" / f"{source.name}-{grid.name}-{key}"

    @property
    def covariates(self) -> pd.DataFrame:
        """The covariates of all scans, with the index of `table`: see `covariate_table`."""
        return covariate_table(self.table)

    def with_splits(self, table: pd.DataFrame, split: str, fold: int = 0) -> Self:
        """Return the cohort with another table, whose test subjects are of a split or a fold."""
        cohort = copy.copy(self)
        cohort.table, cohort.split, cohort.fold = table, split, fold
        cohort.__dict__.pop("_typed_covariates", None)  # of the other table
        return cohort

    @cached_property
    def _typed_covariates(self) -> pd.DataFrame:
        return typed_columns(self.covariates)

    @property
    def voxel_sizes(self) -> dict[tuple[str, str, str], tuple[float, ...]]:
        """Voxel size in mm of each scan as it was acquired, by domain, subject and session.

        Scans without a record of it are left out.
        """
        sizes = {}
        columns = (self.table[name] for name in ("domain", "subject", "session", "details"))
        for domain, subject, session, details in zip(*columns, strict=True):
            scanner = details.get("scanner") or {}
            size = details.get("voxel_size") or scanner.get("VoxelSize")
            if size is not None:
                sizes[domain, subject, session] = tuple(size)
        return sizes

    def scans(self, domain: str, split: str | None = None, *, labelled: bool = False) -> ScanSet:
        """Return the scans of a domain, of one split or of all; if asked, those with labels."""
        chosen = self.table["domain"] == domain
        if labelled:
            chosen &= self.table["labelled"]
        if split is not None:
            chosen &= self.table["split"] == split
        return self._scan_set(domain, self.table[chosen])

    def pairs(
        self, source: str, split: str, *, labelled: bool = False
    ) -> tuple[ScanSet, ScanSet] | None:
        """Return the scans of subjects seen on both scanners, in the same space and order.

        Where the cohort's source named partners, every source scan that has one, so that a
        subject may come several times; else the first scan of each subject on either side.
        If asked, of the scans that have labels.

        Returns
        -------
        tuple or None
            Source scans and target scans, of equal length; None where there are no pairs.
        """
        table = self.table
        chosen = table["paired"] & (table["split"] == split)
        if labelled:
            chosen &= table["labelled"]
        first, second = (
            table[chosen & (table["domain"] == domain)] for domain in (source, self.target)
        )
        if (first["partner"] != "").any():
            first = first[first["partner"] != ""]
            wanted, available = (
                [first["subject"], first["partner"]],
                [second["subject"], second["session"]],
            )
        else:
            first, second = first.drop_duplicates("subject"), second.drop_duplicates("subject")
            wanted, available = [first["subject"]], [second["subject"]]
        rows = {key: i for i, key in enumerate(zip(*available, strict=True))}
        matched = [rows.get(key, -1) for key in zip(*wanted, strict=True)]
        first = first[[i >= 0 for i in matched]]
        if not len(first):
            return None
        second = second.iloc[[i for i in matched if i >= 0]]
        return self._scan_set(source, first), self._scan_set(self.target, second)

    def _scan_set(self, domain: str, table: pd.DataFrame) -> ScanSet:
        names = ("subject", "session", "key", "label_key")
        return ScanSet.stored(
            self.directory / domain,
            domain=domain,
            grid=self.grid,
            scans=[ScanKey(*keys) for keys in zip(*(table[name] for name in names), strict=True)],
            rows=[int(row) for row in table["row"]],
            labelled=bool(len(table)) and bool(table["labelled"].all()),
            volumes=self._volumes(table),
            covariates=self._typed_covariates.loc[table.index],
        )

    def _volumes(self, table: pd.DataFrame) -> list[VolumeSource]:
        """Return the whole scans of rows of the table; none if there are only the slices."""
        places = list(zip(table["domain"], table["row"], strict=True))
        if not self._whole_scans.keys() >= {*places}:
            for row in self.table[_COLUMNS].to_dict("records"):
                record = ScanRecord(**{str(name): value for name, value in row.items()})
                self._whole_scans[record.domain, record.row] = self._volume(record)
        volumes = (self._whole_scans[place] for place in places)
        return [volume for volume in volumes if volume is not None]


def _no_volume(scan: ScanRecord) -> VolumeSource | None:
    """Return None: a cohort that was opened without its source has the prepared slices only."""
    return None


def _must_prepare(directory: Path, *, retry: bool) -> bool:
    """Return whether a cohort must be prepared: it is missing, or a tool failed on its scans."""
    description = directory / "cohort.json"
    if not description.exists():
        return True
    return retry and bool(json.loads(description.read_text())["facts"].get(TOOL_FAILURES))
