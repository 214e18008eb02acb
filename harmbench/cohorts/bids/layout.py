"""The T1w files of a BIDS folder, with what its tables and sidecars say of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harmbench.cohorts.bids.preference import by_preference, no_t1w_image
from harmbench.cohorts.bids.scan import Scan, entities_of
from harmbench.cohorts.bids.sidecars import Sidecars
from harmbench.cohorts.bids.subject_tables import (
    LabelledRows,
    read_participants,
    read_scans,
    read_sessions,
)
from harmbench.cohorts.study.covariates import covariates_of
from harmbench.errors import BadScanError, UserError
from harmbench.preprocessing.file_names import refuse_dicom, with_ending
from harmbench.util.name_list import first_names
from harmbench.util.text_table import is_missing

# What may stand between a scan's entities and the end of the name of its brain mask.
_MASK = re.compile(
    r"(T1w_)?(space-(T1w|orig)_)?(label-brain_)?(desc-(brain|hdbet|bet|synthstrip)_)?"
    r"((brain|hdbet|bet|synthstrip)_?)?mask\.nii(\.gz)?",
    re.IGNORECASE,
)
# Columns of the tables that name something and describe nothing.
_NO_COVARIATES = ("participant_id", "session_id", "person")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The T1w files of a BIDS folder.

    Attributes
    ----------
    sessions
        The T1w files of each session, the preferred one first; in the order of subjects and
        sessions.
    left_out
        Why other files cannot be used, by their path in the folder.
    participant_columns
        The columns of `participants.tsv`.
    notes
        What the user must know of tables and sidecars.
    """

    sessions: tuple[tuple[Scan, ...], ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    participant_columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def scans(self) -> list[Scan]:
        """All T1w files that can be used."""
        return [scan for session in self.sessions for scan in session]

    @property
    def preferred(self) -> list[Scan]:
        """The preferred T1w file of each session."""
        return [session[0] for session in self.sessions]


def read_layout(root: Path) -> Layout:
    """Find the T1w files of a BIDS folder, and read its tables and sidecars.

    Raises
    ------
    UserError
        If the folder is no BIDS tree, has no T1w file, or has a table that is wrong.
    """
    folders = sorted(path for path in root.glob("sub-*") if path.is_dir())
    if not folders:
        refuse_dicom(root)
        raise UserError(f"{root} is not a BIDS folder: it has no folders sub-*")
    participants = read_participants(root, [path.name.removeprefix("sub-") for path in folders])
    reader = _Reader(root, participants)
    sessions = [session for folder in folders for session in reader.sessions_of(folder)]
    if not sessions and not reader.left_out:
        raise UserError(f"{root} has no T1w scan: no sub-*/[ses-*/]anat/*_T1w.nii[.gz]")
    return Layout(
        sessions=tuple(sessions),
        left_out=reader.left_out,
        participant_columns=participants.columns,
        notes=(*participants.notes, *reader.notes()),
    )


def brain_mask(root: Path, scan: Path) -> Path | None:
    """Find a scan's brain mask as HD-BET, SynthStrip or fMRIPrep leave one as a derivative."""
    stem = with_ending(scan, "").name.removesuffix("T1w")
    for folder in sorted(root.glob("derivatives/*")):
        scan_folder = folder / scan.parent.relative_to(root)
        for path in sorted(scan_folder.glob(f"{stem}*mask.nii*")):
            if _MASK.fullmatch(path.name.removeprefix(stem)):
                return path
    return None


class _Reader:
    """Reads subject by subject, and keeps what cannot be used."""

    def __init__(self, root: Path, participants: LabelledRows) -> None:
        self._root = root
        self._participants = participants
        self._sidecars = Sidecars(root)
        self._sidecar_notes: dict[str, list[str]] = {}
        self._session_notes: list[str] = []
        self.left_out: dict[str, str] = {}

    def notes(self) -> list[str]:
        """Return the notes on sidecars, each with the files it is about, and on sessions."""
        sidecar_notes = [
            f"{note}: {first_names(names)}" for note, names in self._sidecar_notes.items()
        ]
        return [*self._session_notes, *sidecar_notes]

    def sessions_of(self, subject_folder: Path) -> Iterator[tuple[Scan, ...]]:
        """Yield the usable T1w files of each session, the preferred one first."""
        folders = sorted(path for path in subject_folder.glob("ses-*") if path.is_dir())
        labels = [folder.name.removeprefix("ses-") for folder in folders]
        rows = read_sessions(subject_folder, labels)
        self._session_notes += rows.notes
        for session, folder in [("1", subject_folder), *zip(labels, folders, strict=True)]:
            files = [*(folder / "anat").glob("*_T1w.nii.gz"), *(folder / "anat").glob("*_T1w.nii")]
            scan_rows = read_scans(folder)
            scans = [
                self._scan(
                    path,
                    session,
                    rows.rows.get(session, {}),
                    scan_rows.get(path.relative_to(folder).as_posix(), {}),
                )
                for path in files
            ]
            usable = self._t1w([scan for scan in scans if scan is not None])
            if usable:
                yield tuple(by_preference(usable))

    def _t1w(self, scans: list[Scan]) -> list[Scan]:
        """Return the scans of T1w magnitude; a session that has no other is left out."""
        reasons = [(scan, no_t1w_image(scan)) for scan in scans]
        usable = [scan for scan, reason in reasons if reason is None]
        if not usable:
            self.left_out |= {self._name(scan.path): reason for scan, reason in reasons if reason}
        return usable

    def _scan(
        self,
        path: Path,
        session: str,
        session_row: Mapping[str, str],
        scan_row: Mapping[str, str],
    ) -> Scan | None:
        """Return a scan; None if its sidecar cannot be read, with the reason in `left_out`."""
        try:
            sidecar = self._sidecars.of(path)
        except BadScanError as error:
            self.left_out[self._name(path)] = str(error)
            return None
        for note in sidecar.notes:
            self._sidecar_notes.setdefault(note, []).append(path.name)
        label = path.relative_to(self._root).parts[0].removeprefix("sub-")
        row = self._participants.rows.get(label, {})
        person = row.get("person", "")
        return Scan(
            path=path,
            subject=label if is_missing(person) else person,
            session=session,
            label=label,
            entities=entities_of(path),
            participant=row,
            session_row=session_row,
            scan_row=scan_row,
            sidecar=sidecar.content,
            mask=brain_mask(self._root, path),
            inherited=sidecar.inherited,
            covariates=covariates_of((row, session_row), _NO_COVARIATES),
        )

    def _name(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()
