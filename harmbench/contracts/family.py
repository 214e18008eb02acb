"""Families of tasks: tasks that measure the same ability share one vote in the ranking."""

from __future__ import annotations

from enum import StrEnum


class Family(StrEnum):
    """The ability that a task measures; each family has one vote in the ranking."""

    CURVES = "curves"
    """One intensity curve for all scans."""
    BIAS = "bias"
    """A smooth bias field."""
    SCANNERS = "scanners"
    """The whole difference between two scanners."""
    DOWNSTREAM = "downstream"
    """Segmentations and volumes that are measured on harmonised scans."""
    BIOLOGY = "biology"
    """Properties of the subject that harmonisation must preserve."""
    SAFETY = "safety"
    """Harm to scans that should stay as they are."""
    OTHER = "other"
    """Tasks of plugins that declare no family."""
