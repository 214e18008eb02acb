"""A T1w file, and what a study says of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harmbench.preprocessing.file_names import with_ending


@dataclass(frozen=True, kw_only=True)
class Scan:
    """A T1w file, and what the study says of it.

    Attributes
    ----------
    path
        The volume.
    subject
        The human: the label, unless the study says that several labels are one subject.
    session
        Name of the session, unique among the subject's sessions; `"1"` without one.
    label
        The subject's label in file names or in the table of scans.
    entities
        The entities of the file name, such as `{"sub": "01", "ses": "m6", "run": "2"}`; empty
        for a scan that a table lists.
    participant, session_row
        The rows of `participants.tsv` and of the subject's `sessions.tsv`; empty without one.
    scan_row
        The row of `scans.tsv`; empty without one.
    scanner, visit
        The scanner that the file name names, and which visit to it this is; empty if the recipe
        does not say where they are.
    sidecar
        What the JSON sidecars say that apply to it, or None without one.
    mask, labels
        Volumes of the brain's mask and of tissue labels; None where there are none.
    inherited
        Sidecars of folders above, or of several scans, that also apply to it.
    covariates
        The known values of the study's tables for the subject or the session, by column.
    alternatives
        Other T1w files of the session in the same domain, to use if this one is damaged.
    choice
        Why this one of several T1w files of the session was chosen; empty if there is one.
    """

    path: Path
    subject: str
    session: str
    label: str
    entities: Mapping[str, str] = field(default_factory=dict)
    participant: Mapping[str, str] = field(default_factory=dict)
    session_row: Mapping[str, str] = field(default_factory=dict)
    scan_row: Mapping[str, str] = field(default_factory=dict)
    scanner: str = ""
    visit: str = ""
    sidecar: Mapping[str, Any] | None = None
    mask: Path | None = None
    labels: Path | None = None
    inherited: tuple[Path, ...] = ()
    covariates: Mapping[str, str] = field(default_factory=dict)
    alternatives: tuple[Scan, ...] = ()
    choice: str = ""

    def renamed(self, subject: str, session: str) -> Scan:
        """Return the scan, and its alternatives, as a session of another subject."""
        alternatives = tuple(scan.renamed(subject, session) for scan in self.alternatives)
        return replace(self, subject=subject, session=session, alternatives=alternatives)


def entities_of(path: Path) -> dict[str, str]:
    """Return the entities of a BIDS file name in their order.

    Examples
    --------
    >>> entities_of(Path("sub-01_ses-m6_run-2_T1w.nii.gz"))
    {'sub': '01', 'ses': 'm6', 'run': '2'}
    """
    stem = with_ending(path, "").name
    parts = (re.fullmatch("([A-Za-z0-9]+)-(.*)", part) for part in stem.split("_"))
    return {match[1]: match[2] for match in parts if match}


def own_sidecar(scan: Path) -> Path:
    """Where the sidecar of a scan is that is of no other."""
    return with_ending(scan, ".json")
