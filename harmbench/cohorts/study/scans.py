"""The scans of a study, by domain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harmbench.cohorts.bids.layout import Scan


@dataclass(frozen=True)
class StudyScans:
    """The scans of a study, before any volume is read.

    Attributes
    ----------
    domains
        The scans of each domain, the target domain first.
    left_out
        Why other scans cannot be used, by their name.
    unassigned
        Number of scans that belong to no domain.
    """

    domains: Mapping[str, tuple[Scan, ...]]
    left_out: Mapping[str, str]
    unassigned: int = 0

    def __iter__(self) -> Iterator[Scan]:
        """Yield the scans of all domains."""
        for scans in self.domains.values():
            yield from scans
