"""Guessing how session labels name scanners, from the labels alone."""

from __future__ import annotations

import re
from collections.abc import Sequence

from harmbench.cohorts.bids.scan import Scan
from harmbench.cohorts.bids.scanner_labels import ScannerLabels

# What labels look like in published studies: scanner and visit (NOT1ACH001, IOWA2), or visit and
# scanner (Y3MRP). The first pattern with a scanner for nearly all labels is taken.
_PATTERNS = (
    "(?P<scanner>[A-Za-z]+[0-9]?[A-Za-z]+)(?P<visit>[0-9]+)",
    "[A-Za-z]?(?P<visit>[0-9]+)(?P<scanner>[A-Za-z]+)",
)
_SHARE = 0.9  # of the sessions that a pattern must explain
_SIDECAR = ("Manufacturer", "ManufacturersModelName", "DeviceSerialNumber")


def scanner_labels_of(scans: Sequence[Scan]) -> ScannerLabels | None:
    """Return how the session labels of a study of travelling subjects name scanners, or None.

    Most sessions must match, most subjects must have been on more than one scanner, and no
    scanner may have sidecars of two models.

    Parameters
    ----------
    scans
        The T1w files of the study.
    """
    subject_in_label = all(scan.entities.get("ses", "").startswith(scan.label) for scan in scans)
    prefix = "(?P<subject>{})" if subject_in_label else "{}"
    own = "|".join(sorted({_shape(scan.label) for scan in scans}))
    for body in _PATTERNS:
        pattern = prefix.format(own) + body if subject_in_label else body
        labels = ScannerLabels(pattern=pattern, runs_are_repeats=_repeated_runs(scans))
        if _plausible([labels.named(scan) for scan in scans]):
            return labels
    return None


def _shape(label: str) -> str:
    """Return a pattern of labels like this one: its letters, and as many digits."""
    parts = re.findall(r"[0-9]+|[^0-9]+", label)
    return "".join(f"[0-9]{{{len(part)}}}" if part.isdigit() else re.escape(part) for part in parts)


def _repeated_runs(scans: Sequence[Scan]) -> bool:
    places = [(scan.subject, scan.session) for scan in scans if "run" in scan.entities]
    return len(set(places)) < len(places)


def _plausible(scans: Sequence[Scan]) -> bool:
    known = [scan for scan in scans if scan.scanner]
    scanners = {scan.scanner for scan in known}
    if len(known) < _SHARE * len(scans) or len(scanners) < 2:
        return False
    on: dict[str, set[str]] = {}
    models: dict[str, set[tuple[str, ...]]] = {}
    for scan in known:
        on.setdefault(scan.subject, set()).add(scan.scanner)
        if scan.sidecar:
            model = tuple(str(scan.sidecar.get(field, "")) for field in _SIDECAR)
            models.setdefault(scan.scanner, set()).add(model)
    travelled = sum(len(names) > 1 for names in on.values())
    one_model = all(len(each) == 1 for each in models.values())
    several = len(set().union(*models.values())) > 1 if models else True
    return travelled > len(on) / 2 and one_model and several
