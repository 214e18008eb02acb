"""Drafting a recipe: which scanners a BIDS folder's scans come from."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harmbench.cohorts.bids.recipe import Value
from harmbench.cohorts.bids.scan import Scan
from harmbench.cohorts.bids.scanner_labels import ScannerLabels, slug
from harmbench.errors import UserError
from harmbench.util.text_table import read_text_table

_FIELDS = ("Manufacturer", "ManufacturersModelName", "MagneticFieldStrength", "DeviceSerialNumber")
_TISSUES = {
    "csf": r"csf|cerebro.*spinal.*fluid|ventricles?",
    "grey_matter": r"gm|gr[ea]y.?matter",
    "white_matter": r"wm|white.?matter",
}


@dataclass(frozen=True)
class ScannerGroup:
    """A scanner and its scans.

    Attributes
    ----------
    fields
        What the sidecars say of it, each field with all values that were found.
    scans
        Its scans.
    label
        Its name in session labels; empty if they do not name scanners.
    """

    fields: Mapping[str, tuple[Value, ...]]
    scans: tuple[Scan, ...]
    label: str = ""

    @property
    def subjects(self) -> set[str]:
        """Who was scanned on it."""
        return {scan.subject for scan in self.scans}

    @property
    def sessions(self) -> int:
        """How many sessions it was used in."""
        return len({(scan.subject, scan.session) for scan in self.scans})

    @property
    def title(self) -> str:
        """Title for users."""
        if not self.fields:
            return self.label or "unknown: no sidecar describes the scanner"
        maker, model, tesla, serial = (
            " or ".join(str(value) for value in self.fields.get(field, ())) for field in _FIELDS
        )
        parts = (
            self.label,
            maker,
            model,
            f"{tesla} T" if tesla else "",
            f"serial {serial}" if serial else "",
        )
        return ", ".join(part for part in parts if part)


def find_scanners(scans: Sequence[Scan]) -> list[ScannerGroup]:
    """Group scans by what their sidecars say of the scanner, the largest group first.

    Field strengths are taken to half a tesla, and texts without regard to case, as
    one scanner writes them in more ways than one.
    """
    groups: dict[tuple[str, ...], list[Scan]] = {}
    for scan in scans:
        groups.setdefault(tuple(_known(scan, field) for field in _FIELDS), []).append(scan)
    scanners = []
    for key, members in groups.items():
        named = [field for field, known in zip(_FIELDS, key, strict=True) if known]
        scanners.append(ScannerGroup(_values(members, named), tuple(members)))
    return sorted(
        scanners, key=lambda scanner: (not scanner.fields, -len(scanner.scans), scanner.title)
    )


def labelled_scanners(scans: Sequence[Scan], labels: ScannerLabels) -> list[ScannerGroup]:
    """Group scans by the scanner in their session labels, the largest group first."""
    groups: dict[str, list[Scan]] = {}
    for scan in map(labels.named, scans):
        if scan.scanner:
            groups.setdefault(scan.scanner, []).append(scan)
    scanners = [
        ScannerGroup(
            _values(members, [field for field in _FIELDS if any(map(_has(field), members))]),
            tuple(members),
            label,
        )
        for label, members in groups.items()
    ]
    return sorted(scanners, key=lambda scanner: (-len(scanner.scans), scanner.label))


def draft_travelling(root: Path, scanners: Sequence[ScannerGroup], labels: ScannerLabels) -> str:
    """Write a recipe of a study of travelling subjects, with the largest scanner as its target."""
    lines = [
        *_head(root),
        f"target = {_toml(slug(scanners[0].label))}",
        "",
        "[scanners]",
        f"entity = {_toml(labels.entity)}",
        f"pattern = {_toml(labels.pattern or '')}",
        *(["runs_are_repeats = true"] if labels.runs_are_repeats else []),
    ]
    for scanner in scanners:
        lines += [
            "",
            f"# {scanner.title}: {_counts(scanner)}",
            f"[domains.{slug(scanner.label)}]",
            f"scanner = {_toml(scanner.label)}",
        ]
    lines += _labels(root)
    lines += ["", "[pairs]", 'reference = "first"', "", "[split]", "validation = 0", "test = 0.4"]
    return "\n".join(lines) + "\n"


def _head(root: Path) -> list[str]:
    return [
        f"# Drafted by `harmbench data recipe {root}`: look at it before it is used.",
        f"name = {_toml(slug(root.absolute().name) or 'study')}",
    ]


def _has(field: str) -> Callable[[Scan], bool]:
    return lambda scan: bool(_known(scan, field))


def _values(scans: Sequence[Scan], fields: Sequence[str]) -> dict[str, tuple[Value, ...]]:
    """Return all values of fields of the sidecars, in the order in which they are found."""
    return {
        field: tuple(
            dict.fromkeys((scan.sidecar or {})[field] for scan in scans if _known(scan, field))
        )
        for field in fields
    }


def draft_recipe(root: Path, scanners: Sequence[ScannerGroup]) -> str:
    """Write a recipe with the largest scanner as its target; what cannot be used as comments."""
    reasons = {id(scanner): _unusable(scanner, scanners) for scanner in scanners}
    usable = [scanner for scanner in scanners if reasons[id(scanner)] is None]
    names = _names(usable)
    lines = _head(root)
    if usable:
        lines.append(f"target = {_toml(names[0])}")
    for scanner, name in zip(usable, names, strict=True):
        lines += ["", f"# {scanner.title}: {_counts(scanner)}", f"[domains.{name}.sidecar]"]
        lines += [f"{field} = {_toml(values)}" for field, values in scanner.fields.items()]
    for scanner in scanners:
        if reasons[id(scanner)] is not None:
            lines += [
                "",
                f"# left out: {scanner.title}: {_counts(scanner)} ({reasons[id(scanner)]})",
            ]
    lines += _labels(root)
    lines += _pairs(usable)
    lines += ["", "[split]", "validation = 0.1", "test = 0.3"]
    return "\n".join(lines) + "\n"


def _known(scan: Scan, field: str) -> str:
    """Return a field's value in a uniform spelling; empty if it is unknown."""
    value = (scan.sidecar or {}).get(field)
    if value is None or isinstance(value, (bool, list, dict)) or not str(value).strip():
        return ""
    if field == "MagneticFieldStrength":
        try:
            return f"{round(2 * float(value)) / 2:g}"
        except ValueError:
            return str(value).strip().casefold()
    return str(value).strip().casefold()


def _unusable(scanner: ScannerGroup, scanners: Sequence[ScannerGroup]) -> str | None:
    """Say why a scanner can be no domain; None if it can."""
    if not scanner.fields:
        return "no field that identifies the scanner"
    if len(scanner.subjects) < 2:
        return "one subject, and a split needs two"
    for other in scanners:
        missing = [field for field in other.fields if field not in scanner.fields]
        if missing and set(scanner.fields) < set(other.fields) and _within(scanner, other):
            return f"without {missing[0]}, so it cannot be distinguished from {other.title}"
    return None


def _within(scanner: ScannerGroup, other: ScannerGroup) -> bool:
    """Whether the other's scans meet what is known of the one, so that it claims them, too."""
    return all(
        _known(other.scans[0], field) == _known(scanner.scans[0], field) for field in scanner.fields
    )


def _names(scanners: Sequence[ScannerGroup]) -> list[str]:
    """Return a short name for each, made longer where two would have the same."""
    short = [
        slug(str((scanner.fields.get("ManufacturersModelName") or ("scanner",))[0])) or "scanner"
        for scanner in scanners
    ]
    names: list[str] = []
    for scanner, name in zip(scanners, short, strict=True):
        if short.count(name) > 1:
            rest = [scanner.fields.get(field, ("",))[0] for field in reversed(_FIELDS)]
            name = slug(f"{name}-{rest[0]}" if rest[0] else f"{name}-{rest[1]}T")
        while name in names:
            name += "-x"
        names.append(name)
    return names


def _labels(root: Path) -> list[str]:
    """Return the table of labels, if a derivative says in `dseg.tsv` what its values are."""
    for table in sorted(root.glob("derivatives/*/dseg.tsv")):
        if next(table.parent.glob("sub-*/**/*_dseg.nii*"), None) is None:
            continue
        tissues = dict(_tissues(table))
        if set(tissues) == set(_TISSUES):
            lines = ["", "[labels]", f"derivative = {_toml(table.parent.name)}", 'suffix = "dseg"']
            return lines + [f"{tissue} = {_toml(tuple(tissues[tissue]))}" for tissue in _TISSUES]
    return []


def _tissues(table: Path) -> Iterator[tuple[str, list[int]]]:
    try:
        rows = read_text_table(table, ("index",)).rows
    except UserError:
        return  # a draft without labels
    for tissue, pattern in _TISSUES.items():
        values = [
            int(row["index"])
            for row in rows
            if row["index"].isdigit()
            and any(re.fullmatch(pattern, text, re.IGNORECASE) for text in row.values())
        ]
        if values:
            yield tissue, values


def _pairs(scanners: Sequence[ScannerGroup]) -> list[str]:
    """Return the table of pairs, if subjects were seen on the target and sessions are days."""
    if not scanners:
        return []
    target, *others = scanners
    sessions = [scan.session for scanner in scanners for scan in scanner.scans]
    shared = any(target.subjects & scanner.subjects for scanner in others)
    if not shared or not all(re.fullmatch("d[0-9]+", session) for session in sessions):
        return []
    return ["", "[pairs]", 'day = "d([0-9]+)"', "maximum_gap_days = 365"]


def _counts(scanner: ScannerGroup) -> str:
    subjects, scans = len(scanner.subjects), len(scanner.scans)
    return f"{subjects} subjects, {scanner.sessions} sessions, {scans} scans"


def _toml(value: Value | tuple[Value, ...]) -> str:
    """Write a value as TOML, a single one without brackets."""
    if isinstance(value, tuple):
        if len(value) == 1:
            return _toml(value[0])
        return f"[{', '.join(_toml(item) for item in value)}]"
    return json.dumps(value, ensure_ascii=False)
