"""Cohorts: where scans come from, how they are laid out on disk, and how they are split."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from torch import Tensor

from harmbench.data.preparing import DEFAULT_PREPARING, Preparing
from harmbench.data.scanset import ScanKey, ScanSet
from harmbench.errors import UserError
from harmbench.files import alone
from harmbench.hashing import digest
from harmbench.progress import Progress
from harmbench.scans import Grid

SPLITS = ("train", "validation", "test")
DEFAULT_NORMALIZATION = "minmax"  # the paper's


class CohortSource(ABC):
    """A place that scans come from, such as the phantom or a BIDS folder.

    A plugin registers one under a name by the hook `register_cohorts`; on the command
    line it is `--cohort NAME` or `--cohort NAME:ARGUMENT`.

    Parameters
    ----------
    argument
        What follows the colon, or None.
    recipe
        Path of the recipe given by `--recipe`, or None.

    Attributes
    ----------
    name, summary
        As registered, and one line on what it is.
    target, sources
        Names of the target domain and of the source domains.
    normalizations
        Names of the normalisations that it can prepare its scans by.
    normalization
        The one it is to use: what `--normalize` says, set before `key` or `prepare` is
        called. Other than the default it belongs into `key` and into every scan's.
    from_volumes
        Whether its scans are prepared from volumes on disk, so that there is something to
        choose of how.
    preparing
        What was chosen, set as `normalization` is.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    normalizations: ClassVar[tuple[str, ...]] = (DEFAULT_NORMALIZATION,)
    normalization: str = DEFAULT_NORMALIZATION
    from_volumes: ClassVar[bool] = False
    preparing: Preparing = DEFAULT_PREPARING
    target: str
    sources: tuple[str, ...]

    @abstractmethod
    def __init__(self, argument: str | None = None, recipe: Path | None = None) -> None: ...

    @property
    def title(self) -> str:
        """What the cohort is called in tables; the same wherever its files lie."""
        return self.name

    @property
    def label(self) -> str:
        """The title, with what is not the default of how it is prepared: `phantom+nyul`."""
        chosen = self.normalization
        normalized = () if chosen == DEFAULT_NORMALIZATION else (chosen,)
        return "+".join((self.title, *normalized, *self.preparing.labels))

    @abstractmethod
    def key(self, grid: Grid) -> str:
        """Hash everything that the prepared cohort depends on, its files' content included."""

    @abstractmethod
    def prepare(self, grid: Grid, writer: CohortWriter, progress: Progress) -> None:
        """Prepare every scan into `writer`; called once for a key.

        Raises
        ------
        UserError
            If what remains after leaving out bad scans is no cohort.
        """

    def t2_weighted(self, person: str, grid: Grid) -> Tensor | None:
        """Return a T2-weighted image of a person, prepared as the target's scan of that person.

        No task uses it: it is the case that methods for one contrast must fail on. Most
        cohorts have none.

        Returns
        -------
        Tensor or None
            `(S, H, W)` float32 in [0, 1], in the same space as that scan.
        """
        return None


@dataclass(frozen=True)
class ScanRecord:
    """One row of a cohort's table: a scan that was prepared well.

    Attributes
    ----------
    domain, person, session
        Whose scan, and from which scanner.
    row
        Row in the domain's arrays.
    key
        Hash of everything the prepared image depends on.
    split
        `"train"`, `"validation"` or `"test"`.
    labelled
        Whether tissue labels were written.
    paired
        True if the scan lies in the same space as the target scan of the same person.
    label_key
        Hash of what the labels depend on besides; no fit depends on it.
    partner
        Of a source scan: the session of the target scan that it is paired with. Empty where
        it is paired with none, or with whichever scan of the person comes first.
    gap_days
        Days between the two, where they are known.
    details
        What was done to the scan and what was measured, as JSON types.
    """

    domain: str
    person: str
    session: str
    row: int
    key: str
    split: str
    labelled: bool
    paired: bool
    label_key: str = ""
    partner: str = ""
    gap_days: int | None = None
    details: dict[str, Any] = field(default_factory=dict)


def write_row(path: Path, row: int, values: npt.NDArray[Any]) -> None:
    """Write one scan into a domain's array; safe from several processes for different rows."""
    array = np.load(path, mmap_mode="r")
    # Not through the map: on a full disk that would end the process by a signal.
    with path.open("r+b") as stream:
        stream.seek(array.offset + row * array[0].nbytes)
        whole = np.broadcast_to(values, array.shape[1:])
        stream.write(np.ascontiguousarray(whole, dtype=array.dtype).data)


class CohortWriter:
    """A cohort under construction, in a folder beside its final place.

    The arrays are made at full size when a domain is begun (sparse on disk until
    written), so that worker processes can each fill their own rows with `write_row`.
    The folder takes its final name only when all is there.
    """

    def __init__(self, directory: Path, grid: Grid) -> None:
        self.directory = directory
        self.grid = grid

    def begin_domain(self, domain: str, n_scans: int, *, labelled: bool) -> Path:
        """Make the arrays of a domain with room for `n_scans`, and return their folder.

        `images.npy` is `(n, S, H, W)` float32, `masks.npy` bool, and `labels.npy`
        uint8, the last only if `labelled`.
        """
        folder = self.directory / domain
        folder.mkdir()
        shape = (n_scans, *self.grid.shape)
        arrays: dict[str, type] = {"images": np.float32, "masks": np.bool_}
        if labelled:
            arrays["labels"] = np.uint8
        for name, dtype in arrays.items():
            np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype, shape).flush()
        return folder

    def finish(
        self,
        *,
        name: str,
        key: str,
        kind: str,
        target: str,
        sources: Sequence[str],
        records: Iterable[ScanRecord],
        left_out: Mapping[str, str],
        normalization: str = DEFAULT_NORMALIZATION,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the table and the description.

        Parameters
        ----------
        name, key
            Of the cohort.
        kind
            What the scans are, shown wherever a number from them is: `"phantom"` or `"real"`.
        target, sources
            Names of the domains.
        records
            One for every scan prepared well.
        left_out
            Why each scan that was left out was left out, by its path or name.
        normalization
            How intensities were normalised.
        facts
            What else is to be known of the cohort, as JSON types. `"repeat"` names a domain,
            neither target nor source, of second scans of target people on its scanner.
        """
        rows = [asdict(record) for record in records]
        description = {
            "name": name,
            "key": key,
            "kind": kind,
            "target": target,
            "sources": list(sources),
            "grid": asdict(self.grid),
            "left_out": dict(left_out),
            "normalization": normalization,
            "facts": dict(facts or {}),
            "scans": rows,
        }
        (self.directory / "cohort.json").write_text(json.dumps(description, indent=1))
        # The folder is trusted for good once it has its name: first let it reach the disk.
        for path in self.directory.rglob("*.*"):
            with path.open("rb") as stream:
                os.fsync(stream.fileno())


def split_people(
    people_by_domain: Mapping[str, Iterable[str]], *, validation: float, test: float
) -> dict[str, str]:
    """Assign every person to one split, the same in all domains.

    People are taken domain by domain in the order of a hash of their name, so that the
    split depends on nobody's position in a file; whoever was assigned with an earlier
    domain stays. Each domain gets at least one person to train and one to test on, as far as
    its people were not all assigned before.

    Parameters
    ----------
    people_by_domain
        The people of each domain, the target domain first.
    validation, test
        Fractions of each domain's people.

    Returns
    -------
    dict
        `"train"`, `"validation"` or `"test"` by person.

    Raises
    ------
    UserError
        If a domain has fewer than two people.

    Examples
    --------
    >>> split = split_people({"a": ["p1", "p2", "p3", "p4"]}, validation=0, test=0.5)
    >>> sorted(split.values())
    ['test', 'test', 'train', 'train']
    """
    assigned: dict[str, str] = {}
    for domain, names in people_by_domain.items():
        people = sorted(set(names), key=lambda person: digest("split", person))
        if len(people) < 2:
            found = f"only '{people[0]}'" if people else "nobody"
            raise UserError(
                f"domain '{domain}' has {found}; a split by person needs at least two people"
            )
        n_test = min(max(1, round(test * len(people))), len(people) - 1)
        n_validation = min(round(validation * len(people)), len(people) - n_test - 1)
        counts = {"test": n_test, "validation": n_validation}
        for split in counts:
            counts[split] -= sum(assigned.get(person) == split for person in people)
        for person in people:
            if person in assigned:
                continue
            split = next((name for name, left in counts.items() if left > 0), "train")
            assigned[person] = split
            if split in counts:
                counts[split] -= 1
    return assigned


class Cohort:
    """A prepared cohort on disk: one target domain, source domains, splits by person.

    Attributes
    ----------
    name
        Its source's title, such as `"phantom"` or `"bids:oasis3"`.
    key
        Content hash of all that went into it; recorded with every result.
    kind
        `"phantom"` or `"real"`, shown wherever a number from it is.
    target, sources
        Names of the domains.
    grid
        The grid all scans lie on.
    left_out
        Why each scan that was left out was left out.
    normalization
        How intensities were normalised.
    facts
        What else its source told of it, as JSON types.
    table
        One row for every scan, with the columns of `ScanRecord`.
    """

    def __init__(self, directory: Path) -> None:
        description = json.loads((directory / "cohort.json").read_text())
        self.directory = directory
        self.name: str = description["name"]
        self.key: str = description["key"]
        self.kind: str = description["kind"]
        self.target: str = description["target"]
        self.sources: tuple[str, ...] = tuple(description["sources"])
        self.left_out: dict[str, str] = description["left_out"]
        self.grid = Grid.of(description["grid"])
        self.normalization: str = description.get("normalization", DEFAULT_NORMALIZATION)
        self.facts: dict[str, Any] = description.get("facts", {})
        # Through the record, so that cohorts prepared before a column came have it, too.
        self.table = pd.DataFrame([asdict(ScanRecord(**scan)) for scan in description["scans"]])

    @classmethod
    def open(cls, source: CohortSource, grid: Grid, home: Path, progress: Progress) -> Self:
        """Open the prepared cohort of a source, preparing it first if need be.

        Of two processes that want one cohort at the same time, the second waits for the
        first. The folder takes its name only when all is there; what a killed process
        left unfinished is removed by the next.
        """
        directory = cls.path(source, grid, home)
        if not (directory / "cohort.json").exists():
            lock = directory.with_name(f".{directory.name}.lock")
            notice = "another process is preparing this cohort; waiting for it"
            with alone(lock, notice, progress):
                if not (directory / "cohort.json").exists():
                    cls._build(source, grid, directory, progress)
        cohort = cls(directory)
        cohort.name = source.label
        return cohort

    @staticmethod
    def _build(source: CohortSource, grid: Grid, directory: Path, progress: Progress) -> None:
        prefix = f".{directory.name}-"
        for stale in directory.parent.glob(f"{prefix}*"):
            shutil.rmtree(stale, ignore_errors=True)
        building = Path(tempfile.mkdtemp(prefix=prefix, dir=directory.parent))
        try:
            source.prepare(grid, CohortWriter(building, grid), progress)
            building.replace(directory)
        finally:
            shutil.rmtree(building, ignore_errors=True)

    @staticmethod
    def path(source: CohortSource, grid: Grid, home: Path) -> Path:
        """Where the prepared cohort of a source lies, or will lie."""
        return home / "cohorts" / f"{source.name}-{grid.name}-{source.key(grid)}"

    def scans(self, domain: str, split: str | None = None, *, labelled: bool = False) -> ScanSet:
        """Return the scans of a domain, of one split or of all; if asked, those with labels."""
        table = self.table[self.table["domain"] == domain]
        if labelled:
            table = table[table["labelled"]]
        if split is not None:
            table = table[table["split"] == split]
        return self._scan_set(domain, table)

    def pairs(
        self, source: str, split: str, *, labelled: bool = False
    ) -> tuple[ScanSet, ScanSet] | None:
        """Return the scans of people seen on both scanners, in the same space and order.

        Where the cohort's source named partners, every source scan that has one, so that a
        person may come several times; else the first scan of each person on either side.
        If asked, of the scans that have labels.

        Returns
        -------
        tuple or None
            Source scans and target scans, of equal length; None where there are no pairs.
        """
        table = self.table[self.table["paired"] & (self.table["split"] == split)]
        if labelled:
            table = table[table["labelled"]]
        first, second = (table[table["domain"] == domain] for domain in (source, self.target))
        if (first["partner"] != "").any():
            first = first[first["partner"] != ""]
            wanted, known = (
                [first["person"], first["partner"]],
                [second["person"], second["session"]],
            )
        else:
            first, second = first.drop_duplicates("person"), second.drop_duplicates("person")
            wanted, known = [first["person"]], [second["person"]]
        place = {key: i for i, key in enumerate(zip(*known, strict=True))}
        matched = [place.get(key, -1) for key in zip(*wanted, strict=True)]
        first = first[[i >= 0 for i in matched]]
        if not len(first):
            return None
        second = second.iloc[[i for i in matched if i >= 0]]
        return self._scan_set(source, first), self._scan_set(self.target, second)

    def _scan_set(self, domain: str, table: pd.DataFrame) -> ScanSet:
        return ScanSet(
            domain=domain,
            grid=self.grid,
            scans=tuple(
                ScanKey(*fields)
                for fields in zip(
                    *(table[name] for name in ("person", "session", "key", "label_key")),
                    strict=True,
                )
            ),
            rows=tuple(int(row) for row in table["row"]),
            directory=self.directory / domain,
            labelled=bool(len(table)) and bool(table["labelled"].all()),
        )
