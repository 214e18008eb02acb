"""Purposes of metrics: which of them may rank methods."""

from __future__ import annotations

from enum import StrEnum


class Purpose(StrEnum):
    """What a metric is for."""

    RANKING = "ranking"
    """May be a task's headline metric, which ranks methods."""
    PUBLISHED = "published"
    """Defined as papers report it, for comparison with their numbers."""
    DETAIL = "detail"
    """A further view of the same error."""
    DIAGNOSTIC = "diagnostic"
    """Compared with a rescan, and never used to rank: too good a value is a fault as well."""
