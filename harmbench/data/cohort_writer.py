"""Writing a prepared cohort to disk, row by row."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from harmbench.data.prepare_options import MINMAX
from harmbench.data.scan_files import DTYPES, array_path
from harmbench.data.scans import Grid


@dataclass(frozen=True, kw_only=True)
class ScanRecord:
    """One row of a cohort's table: a scan that was prepared well.

    Attributes
    ----------
    domain, subject, session
        Whose scan, and from which scanner.
    row
        Number of the scan in its domain.
    key
        Hash of everything the prepared image depends on.
    split
        `"train"`, `"validation"` or `"test"`.
    fold
        Fold of the subject in cross-validation, if the cohort's source names folds; else 0.
    labelled
        Whether tissue labels were written.
    paired
        True if the scan lies in the same space as the target scan of the same subject.
    label_key
        Hash of what the labels depend on besides; no fit depends on it.
    partner
        Of a source scan: the session of the target scan that it is paired with. Empty where
        it is paired with none, or with whichever scan of the subject comes first.
    gap_days
        Days between the two, where they are known.
    age
        Age of the subject at the scan in years, or None.
    covariates
        What else the study says of the subject or the session, by name, a number or a text; the
        age is among them. Missing values are not in it.
    details
        What was done to the scan and what was measured, as JSON types.
    """

    domain: str
    subject: str
    session: str
    row: int
    key: str
    split: str
    labelled: bool
    paired: bool
    label_key: str = ""
    partner: str = ""
    gap_days: int | None = None
    age: float | None = None
    fold: int = 0
    covariates: dict[str, str | float] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the row as JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read a stored row."""
        return cls(**content)


def write_row(folder: Path, name: str, row: int, values: npt.NDArray[Any]) -> None:
    """Write one array of a scan; safe from several processes for different rows.

    Parameters
    ----------
    folder
        The domain's folder, from `CohortWriter.begin_domain`.
    name
        `"images"`, `"masks"` or `"labels"`.
    row
        Number of the scan in its domain.
    values
        `(S, H, W)`, or what broadcasts to it.
    """
    path = array_path(folder, name, row)
    array = np.load(path, mmap_mode="r")
    # Not through the map: on a full disk that would end the process by a signal.
    with path.open("r+b") as stream:
        stream.seek(array.offset)
        whole = np.broadcast_to(values, array.shape)
        stream.write(np.ascontiguousarray(whole, dtype=array.dtype).data)


class CohortWriter:
    """A cohort under construction, in a folder beside its final place.

    The files are made at full size when a domain is begun (sparse on disk until
    written), so that worker processes can each fill their own rows with `write_row`.
    Each scan has its own files, so that a scan set leads to its own scans alone.
    The folder takes its final name only when it is complete.
    """

    def __init__(self, directory: Path, grid: Grid) -> None:
        self.directory = directory
        self.grid = grid

    def begin_domain(self, domain: str, n_scans: int, *, labelled: bool) -> Path:
        """Make the files of a domain with room for `n_scans`, and return their folder.

        A scan has images `(S, H, W)` float32, masks bool, and labels uint8, the last only if
        `labelled`.
        """
        folder = self.directory / domain
        for name in ("images", "masks", *(("labels",) if labelled else ())):
            (folder / name).mkdir(parents=True)
            for row in range(n_scans):
                path = array_path(folder, name, row)
                np.lib.format.open_memmap(path, "w+", DTYPES[name], self.grid.shape).flush()
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
        normalization: str = MINMAX,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the table and the description.

        Parameters
        ----------
        name, key
            Of the cohort.
        kind
            What the scans are, shown wherever a number from them is: `"phantom"`, `"simulated"`
            or `"real"`.
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
            neither target nor source, of second scans of target subjects on its scanner;
            `"noise_free"` one of the target's scans of subjects without noise. `"no_folds"`
            says why cross-validation of the cohort makes no sense. `"doubts"` lists what may make
            numbers wrong; they are repeated whenever the cohort is opened.
        """
        rows = [record.to_json() for record in records]
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
        # A folder with its final name is not checked again, so its files are written to disk first.
        for path in self.directory.rglob("*.*"):
            with path.open("rb") as stream:
                os.fsync(stream.fileno())
