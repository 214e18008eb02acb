"""Pairs of scans of one subject: which scan on another scanner is nearest in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harmbench.cohorts.bids.recipe import Pairs
from harmbench.cohorts.bids.scan import Scan
from harmbench.util.natural import natural


@dataclass(frozen=True)
class Pair:
    """The scan that a scan is registered to, and the days between the two if known."""

    partner: Scan
    gap_days: int | None = None


def pair_up(domains: Mapping[str, Sequence[Scan]], pairs: Pairs) -> dict[Path, Pair]:
    """Give scans the target scan of the same subject that they are registered to.

    By days, every source scan gets the target scan that is nearest in time, the earlier of two
    that are equally near. By a reference, every scan of a subject on any scanner gets the
    subject's first scan on the target scanner; of a subject that was not scanned on it, the first
    scan on the first domain where it was scanned. Several scans may have one partner.

    Parameters
    ----------
    domains
        The scans of each domain, the target domain first.
    pairs
        The rule of the recipe.

    Returns
    -------
    dict
        By the path of the scan; scans without a partner are not in it, nor is the reference.
    """
    if pairs.reference is not None:
        return _to_first_visit(domains)
    (_, targets), *sources = domains.items()
    days: dict[str, list[tuple[int, Scan]]] = {}
    for scan in targets:
        day = pairs.day_of(_session_label(scan))
        if day is not None:
            days.setdefault(scan.subject, []).append((day, scan))
    found: dict[Path, Pair] = {}
    for _, scans in sources:
        for scan in scans:
            day = pairs.day_of(_session_label(scan))
            if day is None or scan.subject not in days:
                continue
            gap, _, partner = min(
                ((abs(other - day), other, target) for other, target in days[scan.subject]),
                key=lambda candidate: candidate[:2],
            )
            if pairs.maximum_gap_days is not None and gap <= pairs.maximum_gap_days:
                found[scan.path] = Pair(partner, gap)
    return found


def _to_first_visit(domains: Mapping[str, Sequence[Scan]]) -> dict[Path, Pair]:
    first: dict[str, Scan] = {}
    for group in domains.values():
        for scan in sorted(group, key=lambda scan: (natural(scan.visit), natural(scan.session))):
            first.setdefault(scan.subject, scan)
    return {
        scan.path: Pair(first[scan.subject])
        for scans in domains.values()
        for scan in scans
        if scan.path != first[scan.subject].path
    }


def _session_label(scan: Scan) -> str:
    """Return the session's label in the file name, which is not unique among several labels."""
    return scan.entities.get("ses", scan.session)
