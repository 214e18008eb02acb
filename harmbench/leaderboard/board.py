"""A board: methods by tasks for one metric, of cells that may be compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from harmbench.data.scan_kind import kind_of_scans
from harmbench.leaderboard.bounds import PooledBound
from harmbench.leaderboard.families import Comparison
from harmbench.leaderboard.measure import Measure
from harmbench.leaderboard.scores import Score, TaskColumn
from harmbench.statistics.estimate import Estimate


@dataclass(frozen=True, kw_only=True)
class Row:
    """One method with one set of settings.

    Attributes
    ----------
    label, method
        Name with and without the changed settings.
    control
        `"floor"`, `"ceiling"` (the reference line) or empty.
    ranked
        Whether it takes part in ranks and tests: no control, and a variant only on request.
    scores
        By task; without the tasks that the method was not run on.
    rank
        Mean over families of its mean rank in each, with its 95 % interval over subjects; `n` is
        the number of tasks with a number. A task without one counts as the last rank. NaN for the
        only ranked method. None for a row that is not ranked.
    family_ranks
        Mean rank by family; empty for a row that is not ranked, NaN for the only ranked method.
    normalized
        Mean score over the `n` tasks that have a floor (0) and a reference line (1); a task
        without a number counts as 0. None where no task has both, and for a row that is not
        ranked.
    submission
        Author, date, reference and digest of images that were harmonised elsewhere; empty for a
        method.
    bundles
        The tasks with imported results, by the origin of their bundle.
    receives
        What the method receives beyond target and source, in words; or empty.
    """

    label: str
    method: str
    control: str
    ranked: bool
    scores: Mapping[str, Score]
    rank: Estimate | None
    family_ranks: Mapping[str, float]
    normalized: Estimate | None
    submission: Mapping[str, str] = field(default_factory=dict)
    bundles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    receives: str = ""

    @property
    def role(self) -> str:
        """Why a ranking leaves it out: `"floor"`, `"reference line"`, `"variant"`; or empty."""
        if self.control:
            return "reference line" if self.control == "ceiling" else self.control
        return "variant" if not self.ranked and self.label != self.method else ""

    @property
    def n_scored(self) -> int:
        """Number of tasks with a value that counts."""
        return sum(score.counts for score in self.scores.values())


@dataclass(frozen=True, kw_only=True)
class Board:
    """Methods by tasks for one metric, of cells with the same data and preset.

    Attributes
    ----------
    cohort, cohort_key, fit_cohort, fit_cohort_key, kind, preset, split, normalization
        Common to all cells; cells that differ in one of them never share a board.
    edition
        0 for the newest test data of every task and seed, 1 for those before, and so on: older
        numbers of a task that has changed are on a board of their own.
    measure
        The metric.
    columns
        The tasks, by name.
    rows
        The reference line first, then ranked methods from the best mean rank to the worst, then
        variants, and the floor last.
    comparison
        Differences between ranked methods by family; None if the metric does not rank.
    bounds
        Reference values that tasks measure themselves, by title and task.
    pooled
        Scores over all tasks of a family, by family and label, for families whose tasks have
        several targets.
    pooled_bounds
        Reference values over all tasks of such a family, by family and title.
    """

    cohort: str
    cohort_key: str
    fit_cohort: str = ""
    fit_cohort_key: str = ""
    kind: str
    preset: str
    split: str
    normalization: str
    edition: int
    measure: Measure
    columns: Mapping[str, TaskColumn] = field(repr=False)
    rows: tuple[Row, ...]
    comparison: Comparison | None = field(repr=False)
    bounds: Mapping[str, Mapping[str, Estimate]]
    pooled: Mapping[str, Mapping[str, Estimate]] = field(default_factory=dict)
    pooled_bounds: Mapping[str, Mapping[str, PooledBound]] = field(default_factory=dict)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks."""
        return tuple(self.columns)

    @property
    def single_tasks(self) -> tuple[str, ...]:
        """Names of the tasks of families that are not pooled over targets."""
        return tuple(
            task for task, column in self.columns.items() if column.family not in self.pooled
        )

    def tasks_of(self, family: str) -> tuple[str, ...]:
        """Return the names of the voting tasks of a family."""
        return tuple(
            task
            for task, column in self.columns.items()
            if column.votes and column.family == family
        )

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

    @property
    def floor(self) -> str | None:
        """Label of the floor, or None."""
        return next((row.label for row in self.rows if row.control == "floor"), None)

    def letters(self, label: str, task: str) -> str:
        """Return a method's letters on a task that is a family alone; empty elsewhere."""
        family = None if self.comparison is None else self.comparison.of_task(task)
        return "" if family is None else family.letters.get(label, "")

    def is_best(self, label: str, task: str) -> bool:
        """Return whether a method is significantly best on a task that is a family alone."""
        family = None if self.comparison is None else self.comparison.of_task(task)
        return family is not None and family.is_best(label)

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
        """The split, unless it is the test split."""
        if self.split == "tuning":
            return ", TUNING split: validation subjects"
        return "" if self.split == "test" else f", {self.split}"

    @property
    def fit_note(self) -> str:
        """The cohort that methods are fitted on, unless it is the cohort itself."""
        if not self.fit_cohort:
            return ""
        return f", FITTED ON {self.fit_cohort} ({self.fit_cohort_key[:8]})"

    @property
    def data_title(self) -> str:
        """Cohort, kind of scans, preset, split, normalisation and edition."""
        normalized = f", {self.normalization} normalisation" if self.normalization else ""
        older = f", OLDER test data ({self.edition})" if self.edition else ""
        return (
            f"cohort {self.cohort} [{kind_of_scans(self.kind)}], {self.preset} preset"
            f"{self.split_note}{normalized}, {self.cohort_key[:8]}{self.fit_note}{older}"
        )

    @property
    def title(self) -> str:
        """Metric, cohort and preset in one line."""
        unit = f" in {self.measure.unit}" if self.measure.unit else ""
        return f"{self.metric}{unit} ({self.measure.direction}) on {self.data_title}"
