"""The contract of a task: data, truth and scoring."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import pandas as pd

from harmbench.contracts.family import Family
from harmbench.contracts.instrument import Instrument
from harmbench.contracts.metric import Metric
from harmbench.contracts.scorer import BatchScorer, Scorer, ScoringContext
from harmbench.contracts.task_data import TaskData
from harmbench.data.cohort import Cohort
from harmbench.data.scans import Scans
from harmbench.statistics.estimate import Estimate
from harmbench.statistics.value_range import ValueRange


class Task(ABC):
    """A benchmark task, the same for every method.

    Attributes
    ----------
    name, summary
        Name on the command line, and a description in one line.
    version
        Increased by the author when the meaning of the scores changes: a new board begins.
        Changes of code alone are noticed without it.
    family
        The ability that the task measures; each family has one vote in the ranking.
    group
        Near-duplicates of the task: tasks of one family and group are averaged before they count
        in the family. By default the task's own name.
    votes
        Whether the task counts in the ranking; if not, its numbers are shown only.
    instruments
        The fitted models that the task measures with, by a name that the task chooses. Each is
        fitted once for a target, seed and preset, and shared by all cells.
    measures
        Scores that no registered metric computes: by name, whether higher is better.
    ranges
        The ranges of those scores that have any, by name: intervals lie within.
    diagnostics
        Names of those scores that rank nothing, since they are compared with a rescan.
    uses_metrics
        Whether the scorer computes registered metrics. If not, a newly registered metric leaves
        the cells of this task as they are.
    headline
        Headline metrics, most important first: shown in the one line of a cell. The first one
        that a cell has ranks the methods; a cell with none, such as one without truth, has no
        rank. Metrics of the purpose `DIAGNOSTIC` cannot be headlines.
    expected_failures
        Checks of `harmbench check` that fail, each with the reason.
    """

    name: str
    summary: ClassVar[str]
    version: ClassVar[str] = "1"
    family: ClassVar[Family] = Family.OTHER
    group: str = ""
    votes: ClassVar[bool] = True
    instruments: ClassVar[Mapping[str, type[Instrument]]] = {}
    measures: ClassVar[Mapping[str, bool]] = {}
    ranges: ClassVar[Mapping[str, ValueRange]] = {}
    diagnostics: ClassVar[Sequence[str]] = ()
    uses_metrics: ClassVar[bool] = True
    headline: ClassVar[Sequence[str]] = ("psnr", "ssim")
    expected_failures: ClassVar[Mapping[str, str]] = {}

    @abstractmethod
    def setup(self, cohort: Cohort, seed: int) -> TaskData:
        """Select the data, and draw all random values into parameters.

        Raises
        ------
        SkipCell
            If this cohort lacks data for the task; carries the reason.
        """

    def scorer(self, context: ScoringContext) -> Scorer:
        """Return the scorer of a cell; by default it passes every batch to `score`."""

        def score(harmonized: Scans, references: Scans | None) -> pd.DataFrame:
            return self.score(harmonized, references, context.data, context.metrics)

        return BatchScorer(score)

    def bounds(
        self, context: ScoringContext
    ) -> Mapping[str, pd.DataFrame | Mapping[str, Estimate]]:
        """Return reference values of the scores, by title; none by default.

        An example is the score of the instruments on the target's own scans. The values do not
        depend on the method, are computed once per task, and are recorded with each cell.

        Returns
        -------
        Mapping
            By title: a table of scores as that of `score`, if they are means over subjects, so that
            those of several folds and targets can be averaged by subject; or estimates by metric.
        """
        return {}

    def score(
        self,
        harmonized: Scans,
        references: Scans | None,
        data: TaskData,
        metrics: Sequence[Metric],
    ) -> pd.DataFrame:
        """Score a batch of harmonised scans by every metric that applies.

        Parameters
        ----------
        harmonized
            Images `(N, S, H, W)` in [0, 1], with masks, and labels if there are any.
        references
            The truth in the same order, or None.
        data
            The task's data; its target scans are the population to compare with.
        metrics
            All registered metrics.

        Returns
        -------
        pandas.DataFrame
            Columns subject, scan, slice, metric and value; `slice` is -1 for a value
            of the whole scan.
        """
        frames = [
            metric.table(harmonized, references, data.target)
            for metric in metrics
            if metric.applies(harmonized, references, data.target)
        ]
        return pd.concat(frames, ignore_index=True)
