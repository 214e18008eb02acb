"""A cell, the unit of work, and its result."""

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
    """The state of a cell."""

    PLANNED = "to do"
    DONE = "done"
    CACHED = "cached"
    SKIPPED = "skipped"
    FAILED = "failed"
    DIVERGED = "diverged"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One combination of method, task, cohort, split and seed.

    Attributes
    ----------
    method, label
        The method's name, and the name with the changed settings: `"blindharmony[alpha=0]"`.
    task, cohort, seed, preset
        Names of the task, cohort and preset, and the seed.
    target
        Name of the domain that scans are harmonised to.
    fit_cohort, fit_cohort_key
        Name and content hash of the cohort that fits are made on; empty for the cohort itself.
    split
        `"test"`, `"tuning"` where validation subjects are scored, or `"5 folds"`.
    fold
        Number of the fold whose subjects are scored, from 1; 0 without folds.
    family, group, votes
        Of the task; see `Task`.
    kind
        `"phantom"`, `"simulated"` or `"real"`, shown beside every number of the cell.
    cohort_key
        Content hash of the cohort.
    key
        Content hash of all inputs of the result.
    fit_key
        Key of the fit, or None for a method with nothing to learn.
    settings
        The method's full config, as JSON types.
    parameters
        The task's random draws and recorded facts, as JSON types.
    control
        `"floor"`, `"ceiling"` or None.
    skip
        The reason for skipping the cell, or None.
    question
        Content hash of the question, independent of the method: the task and its declared
        version, the split, the scans, and the instruments with their settings and data. It covers
        neither code nor metrics. Do not compare numbers of two questions.
    normalization
        Name of the cohort's intensity normalisation.
    instruments
        Keys of the instruments' fits, by the task's names for them.
    submission
        Of images that were harmonised elsewhere: author, date, reference, digest of all images,
        digests of the images by "subject/session", and the missing scans; empty for a method.
    needs, covariates
        Of the method: the data and the covariates that it declares.
    code
        Hash of the method's declared version and code.
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
    target: str = ""
    fit_cohort: str = ""
    fit_cohort_key: str = ""
    split: str = "test"
    fold: int = 0
    family: str = "other"
    group: str = ""
    votes: bool = True
    fit_key: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    control: str | None = None
    skip: str | None = None
    question: str = ""
    normalization: str = ""
    instruments: Mapping[str, str] = field(default_factory=dict)
    submission: Mapping[str, Any] = field(default_factory=dict)
    needs: str = ""
    covariates: list[str] = field(default_factory=list)
    code: str = ""

    @property
    def title(self) -> str:
        """Label, task, seed and fold, for messages."""
        fold = f", fold {self.fold}" if self.fold else ""
        return f"{self.label} on {self.task}, seed {self.seed}{fold}"


@dataclass(frozen=True, kw_only=True)
class CellResult:
    """The result of a cell.

    Attributes
    ----------
    status
        Final state.
    reason
        Reason of a skip, failure or divergence; empty otherwise.
    scores
        The score table with columns subject, scan, slice, metric and value, or None.
    estimates
        Mean over subjects with its confidence interval, by metric.
    folder
        Folder of the stored files, or None.
    facts
        Times in seconds, sizes and provenance, as JSON types.
    curves
        Values that the fit recorded by step, such as its loss.
    record
        Id of its record in the results store; empty before it is recorded.
    """

    status: Status
    reason: str = ""
    scores: pd.DataFrame | None = None
    estimates: Mapping[str, Estimate] = field(default_factory=dict)
    folder: Path | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    curves: Sequence[CurvePoint] = ()
    record: str = ""

    @property
    def missing(self) -> Mapping[str, str]:
        """Why a command failed on test scans, by "subject/session"; scores are of the others.

        Such a result is not final: the same run tries these scans again.
        """
        return dict(self.facts.get("missing", {}))

    @property
    def complete(self) -> bool:
        """Whether the same run would not compute the cell again."""
        return self.status in (Status.DONE, Status.CACHED, Status.SKIPPED) and not self.missing
