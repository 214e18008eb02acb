"""A board: methods by tasks for one metric, of cells that may be compared."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from harmbench.data.scan_kind import kind_of_scans
from harmbench.leaderboard.formatting import direction
from harmbench.statistics.estimate import Estimate
from harmbench.statistics.subjects import SubjectValues


@dataclass(frozen=True)
class Measure:
    """A metric as recorded with the runs.

    Attributes
    ----------
    name
        Its name.
    higher_is_better
        Its direction.
    unit
        `"dB"`, or empty for a plain number or an unknown unit.
    """

    name: str
    higher_is_better: bool
    unit: str = ""

    @property
    def direction(self) -> str:
        """`"higher is better"` or `"lower is better"`."""
        return direction(higher_is_better=self.higher_is_better)

    @property
    def axis_title(self) -> str:
        """Name, unit and direction."""
        unit = f" [{self.unit}]" if self.unit else ""
        return f"{self.name}{unit}, {self.direction}"


@dataclass(frozen=True, kw_only=True)
class Score:
    """The score of one method on one task.

    Attributes
    ----------
    value
        Mean over subjects, each averaged over the seeds; NaN where there is none. For a metric
        of the whole cohort (such as an ICC): its mean over seeds.
    low, high
        Bounds of the 95 % bootstrap interval over subjects; for a metric of the whole cohort,
        the mean over seeds of the recorded bounds.
    n
        Number of subjects; 0 if the runs have no values by subject.
    by_seed
        Mean over subjects for each seed.
    status
        The worst status among the seeds, so that a failed seed stays visible.
    reason
        Why there is no number.
    tier
        From 1: methods without a significant difference to the best share its tier. None for
        controls, and where no subject's values were recorded.
    p
        Holm-adjusted p-value of the signed-rank test against the best of the tier; NaN for
        the best itself.
    flags
        Warnings of the method, by "subject/session", of any seed.
    environments
        Versions of libraries and class of device, of each seed.
    runs
        Ids of the runs, by seed.
    label
        The method, with its changed settings.
    subject_values
        Values by subject of all methods on the task.
    """

    value: float
    low: float
    high: float
    n: int
    by_seed: Mapping[int, float]
    status: str
    reason: str
    tier: int | None
    p: float
    flags: Mapping[str, str] = field(repr=False)
    environments: tuple[Mapping[str, str], ...] = field(repr=False)
    runs: Mapping[int, str] = field(repr=False)
    label: str = field(repr=False)
    subject_values: SubjectValues = field(repr=False)

    @cached_property
    def subjects(self) -> pd.Series:
        """Each subject's value, averaged over the seeds; empty if none was recorded."""
        return self.subject_values.column(self.label)

    @property
    def has_value(self) -> bool:
        """Whether the value is a number; infinity counts as one."""
        return not math.isnan(self.value)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, in order."""
        return tuple(sorted(self.runs))

    @property
    def spread(self) -> float:
        """Standard deviation over seeds of the mean over subjects; NaN with one seed."""
        values = list(self.by_seed.values())
        if len(values) < 2 or not all(map(math.isfinite, values)):
            return math.nan
        return float(np.std(values, ddof=1))


@dataclass(frozen=True, kw_only=True)
class Row:
    """One method with one set of settings.

    Attributes
    ----------
    label, method
        Name with and without the changed settings.
    control
        `"floor"`, `"ceiling"` (the reference line) or empty.
    scores
        By task; without the tasks that the method was not run on.
    rank
        Mean rank over the tasks, with its 95 % interval over subjects; `n` is the number of
        tasks with a number. A task without one counts as the worst rank. None for controls.
    normalized
        Mean score over the `n` tasks that have a floor (0) and a reference line (1); a task
        without a number counts as 0. None where no task has both, and for controls.
    """

    label: str
    method: str
    control: str
    scores: Mapping[str, Score]
    rank: Estimate | None
    normalized: Estimate | None

    @property
    def role(self) -> str:
        """The control's role in words: `"floor"`, `"reference line"`, or empty for a method."""
        return "reference line" if self.control == "ceiling" else self.control

    @property
    def n_scored(self) -> int:
        """Number of tasks with a value."""
        return sum(score.has_value for score in self.scores.values())


@dataclass(frozen=True, kw_only=True)
class Board:
    """Methods by tasks for one metric, of cells with the same data and preset.

    Attributes
    ----------
    cohort, cohort_key, kind, preset, split, normalization
        Common to all cells; cells that differ in one of them never share a board.
    edition
        0 for the newest test data of every task and seed, 1 for those before, and so on: older
        numbers of a task that has changed are on a board of their own.
    measure
        The metric.
    tasks
        Columns, by name.
    rows
        Methods from the best mean rank to the worst, between the controls: the ceiling
        comes first and the floor last.
    bounds
        Reference values that tasks measure themselves, by title and task.
    """

    cohort: str
    cohort_key: str
    kind: str
    preset: str
    split: str
    normalization: str
    edition: int
    measure: Measure
    tasks: tuple[str, ...]
    rows: tuple[Row, ...]
    bounds: Mapping[str, Mapping[str, Estimate]]

    @property
    def metric(self) -> str:
        """The metric's name."""
        return self.measure.name

    @property
    def higher_is_better(self) -> bool:
        """The metric's direction."""
        return self.measure.higher_is_better

    @property
    def methods(self) -> tuple[Row, ...]:
        """The rows without the controls."""
        return tuple(row for row in self.rows if not row.control)

    @cached_property
    def usual_environment(self) -> Mapping[str, str]:
        """The most frequent versions of libraries and class of device; the newest if tied."""
        counts = Counter(
            tuple(sorted(environment.items()))
            for row in self.rows
            for score in row.scores.values()
            for environment in score.environments
            if environment
        )
        return dict(counts.most_common(1)[0][0]) if counts else {}

    def unusual(self, score: Score) -> dict[str, str]:
        """Return the libraries and the device that differ from those of most numbers here."""
        usual = self.usual_environment
        return {
            name: version
            for environment in score.environments
            for name, version in environment.items()
            if version != usual.get(name)
        }

    @property
    def split_note(self) -> str:
        """A warning that validation subjects were scored, or empty."""
        return ", TUNING split: validation subjects" if self.split == "tuning" else ""

    @property
    def title(self) -> str:
        """Metric, cohort and preset in one line."""
        unit = f" in {self.measure.unit}" if self.measure.unit else ""
        normalized = f", {self.normalization} normalisation" if self.normalization else ""
        older = f", OLDER test data ({self.edition})" if self.edition else ""
        return (
            f"{self.metric}{unit} ({self.measure.direction}) on cohort {self.cohort} "
            f"[{kind_of_scans(self.kind)}], {self.preset} preset{self.split_note}{normalized}, "
            f"{self.cohort_key[:8]}{older}"
        )
