"""Subjects with several labels, and image files that are listed more than once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from harmbench.cohorts.bids.scan import Scan
from harmbench.cohorts.study.scans import StudyScans
from harmbench.errors import UserError
from harmbench.util.name_list import first_names


@dataclass(frozen=True)
class Identified:
    """The scans of a study with their final subjects.

    Attributes
    ----------
    scans
        The scans. The sessions of a subject that has several labels are named by label and
        session.
    subject_of
        The final subject by the subject before.
    """

    scans: StudyScans
    subject_of: Mapping[str, str]


def identify(
    scans: StudyScans, files: Mapping[Path, str | None], *, fewest_subjects: int
) -> Identified:
    """Make one subject of all that share a byte-identical image file, and report such files.

    Parameters
    ----------
    scans
        The scans of the study.
    files
        Digest of each image file; None for a file that cannot be read.
    fewest_subjects
        The number of subjects that every domain needs, 1 or 2.

    Raises
    ------
    UserError
        If a domain is left with fewer.
    """
    copies: dict[str, list[tuple[str, Scan]]] = {}
    for domain, domain_scans in scans.domains.items():
        for scan in domain_scans:
            for file in (scan, *scan.alternatives):
                content = files[file.path]
                if content is not None:
                    copies.setdefault(content, []).append((domain, file))
    repeated = [group for group in copies.values() if len(set(map(_visit, group))) > 1]
    subject_of = _united({scan.subject for _, scan in group} for group in repeated)
    labels: dict[str, set[str]] = {}
    for scan in scans:
        labels.setdefault(subject_of.get(scan.subject, scan.subject), set()).add(scan.label)

    def named(scan: Scan) -> Scan:
        subject = subject_of.get(scan.subject, scan.subject)
        several = len(labels[subject]) > 1
        session = f"{scan.label}-{scan.session}" if several else scan.session
        return scan.renamed(subject, session)

    domains = {name: tuple(map(named, group)) for name, group in scans.domains.items()}
    notes = [*_several_labels(labels), *map(_note, repeated)]
    for name, group in domains.items():
        subjects = {scan.subject for scan in group}
        if len(subjects) < fewest_subjects:
            reasons = f": {'; '.join(notes)}" if notes else ""
            raise UserError(
                f"domain '{name}' has only one subject, '{subjects.pop()}', and a split by subject "
                f"needs two{reasons}"
            )
    notes = [*scans.notes, *notes]
    return Identified(replace(scans, domains=domains, notes=notes), subject_of)


def _visit(item: tuple[str, Scan]) -> tuple[str, str, str]:
    """Return what two files of one scan share: domain, label and session."""
    domain, scan = item
    return domain, scan.label, scan.session


def _united(groups: Iterable[set[str]]) -> dict[str, str]:
    """Return a common name, the first in order, for all subjects that groups connect."""
    name_of: dict[str, str] = {}
    for group in groups:
        names = {name_of.get(subject, subject) for subject in group}
        members = {subject for subject, name in name_of.items() if name in names} | group
        name_of |= dict.fromkeys(members, min(names))
    return name_of


def _several_labels(labels: Mapping[str, set[str]]) -> list[str]:
    several = [
        f"{subject} ({', '.join(sorted(names))})"
        for subject, names in labels.items()
        if len(names) > 1
    ]
    return [f"subjects with several labels: {first_names(several)}"] if several else []


def _note(group: list[tuple[str, Scan]]) -> str:
    """Return what is reported of an image file that comes more than once."""
    names = first_names(dict.fromkeys(scan.path.name for _, scan in group))
    if len({scan.subject for _, scan in group}) > 1:
        labels = first_names(dict.fromkeys(scan.label for _, scan in group))
        return f"the labels {labels} have one and the same image file and count as one: {names}"
    label = group[0][1].label
    if len({domain for domain, _ in group}) > 1:
        return f"{label} has one and the same image file in two domains, which is no pair: {names}"
    return f"{label} has one and the same image file in several sessions: {names}"
