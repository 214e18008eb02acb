"""The scans of a study, by domain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from harmbench.cohorts.bids.scan import Scan


@dataclass(frozen=True, kw_only=True)
class StudyScans:
    """The scans of a study, before any volume is read.

    Attributes
    ----------
    domains
        The scans of each domain, the target domain first.
    left_out
        Why other scans cannot be used, by their name.
    unassigned
        Why other scans belong to no domain, by their name.
    notes
        What the user must know of the study's tables and files.
    """

    domains: Mapping[str, tuple[Scan, ...]]
    left_out: Mapping[str, str] = field(default_factory=dict)
    unassigned: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def __iter__(self) -> Iterator[Scan]:
        """Yield the scans of all domains."""
        for scans in self.domains.values():
            yield from scans

    @property
    def files(self) -> Iterator[Scan]:
        """Yield the scans of all domains, each followed by its alternatives."""
        for scan in self:
            yield from (scan, *scan.alternatives)
