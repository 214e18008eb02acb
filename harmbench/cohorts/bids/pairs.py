"""Pairs of scans of one subject: which scan on another scanner is nearest in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harmbench.cohorts.bids.recipe import Pairs
from harmbench.cohorts.bids.scan import Scan


@dataclass(frozen=True)
class Pair:
    """The target scan that a source scan is paired with, and the days between the two."""

    partner: Scan
    gap_days: int


def pair_up(domains: Mapping[str, Sequence[Scan]], pairs: Pairs) -> dict[Path, Pair]:
    """Give every source scan the target scan of the same subject that is nearest in time.

    Of two that are equally near, the earlier. Several source scans may have one partner.

    Parameters
    ----------
    domains
        The scans of each domain, the target domain first.
    pairs
        How session labels encode the day, and how far apart two may lie.

    Returns
    -------
    dict
        By the path of the source scan; scans without a partner near enough are not in it.
    """
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
            if gap <= pairs.maximum_gap_days:
                found[scan.path] = Pair(partner, gap)
    return found


def _session_label(scan: Scan) -> str:
    """Return the session's label in the file name, which is not unique among several labels."""
    return scan.entities.get("ses", scan.session)
