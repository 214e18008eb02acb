"""A cell, the unit of work, and what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import pandas as pd

from harmbench.contracts.fit_progress import CurvePoint
from harmbench.statistics.estimate import Estimate


class Status(StrEnum):
    """How a cell ended, or what is planned for it."""

    PLANNED = "to do"
    DONE = "done"
    CACHED = "cached"
    SKIPPED = "skipped"
    FAILED = "failed"
    DIVERGED = "diverged"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One (method, task, cohort, seed).

    Attributes
    ----------
    method, label
        The method's name, and with its changed settings: `"blindharmony[alpha=0]"`.
    task, cohort, seed, preset
        The other axes.
    kind
        `"phantom"` or `"real"`, shown wherever a number from the cell is.
    cohort_key
        Content hash of the cohort.
    key
        Content hash of everything the result depends on.
    fit_key
        Key of the fit it uses, or None for a method with nothing to learn.
    settings
        The method's whole config, as JSON types.
    parameters
        What the task drew or recorded, as JSON types.
    control
        `"floor"`, `"ceiling"` or None.
    skip
        Why the cell is skipped, or None.
    question
        Content hash of the question, independent of the method: the task and its code, the
        scans, the instruments and the metrics. Do not compare numbers of two questions.
    normalization
        Name of how the cohort's intensities were normalised.
    instruments
        Keys of the fits of what the task measures with, by the names it gave.
    """

    method: str
    label: str
    task: str
    cohort: str
    seed: int
    preset: str
    kind: str
    cohort_key: str
    key: str
    fit_key: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    control: str | None = None
    skip: str | None = None
    question: str = ""
    normalization: str = ""
    instruments: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The cell in a few words."""
        return f"{self.label} on {self.task}, seed {self.seed}"


@dataclass(frozen=True, kw_only=True)
class CellResult:
    """What became of a cell.

    Attributes
    ----------
    status
        How it ended.
    reason
        Why it was skipped, failed or diverged; empty otherwise.
    scores
        The score table with columns subject, scan, slice, metric and value, or None.
    estimates
        Mean over subjects with its confidence interval, by metric.
    folder
        Where the stored files lie, or None.
    facts
        Times in seconds, sizes and provenance, as JSON types.
    curves
        What the fit recorded by step, such as its loss.
    """

    status: Status
    reason: str = ""
    scores: pd.DataFrame | None = None
    estimates: Mapping[str, Estimate] = field(default_factory=dict)
    folder: Path | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    curves: Sequence[CurvePoint] = ()

    @property
    def figure(self) -> Path | None:
        """The stored figure, if there is one."""
        path = None if self.folder is None else self.folder / "figure.png"
        return path if path is not None and path.exists() else None
