"""The contract of a task: what is asked, what is known of the truth, how it is scored."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pandas as pd

from harmbench.data.cohort import Cohort
from harmbench.data.scanset import ScanSet
from harmbench.instrument import Instrument
from harmbench.metrics.aggregate import Estimate
from harmbench.metrics.base import Metric
from harmbench.model import FitData
from harmbench.scans import Scans
from harmbench.scorer import BatchScorer, Scorer, ScoringContext


@dataclass(frozen=True)
class TaskData:
    """Everything a task needs of a cohort.

    Attributes
    ----------
    target, validation
        Scans of the target domain to fit on, and to choose by.
    test
        Source scans to harmonise, of people that no fit has seen.
    references
        The truth of each test scan, in the same order, or None where nobody knows it.
    source
        Training scans of the source domain, for methods that need them.
    pairs
        Training scans of the same people in source and target, or None.
    no_pairs
        Why there are no pairs, shown when a paired method is skipped.
    labelled
        Those of the target's training and validation scans that have labels, for
        instruments; None if they are handed `target` and `validation`.
    extra
        Other scans that the scorer needs, by name.
    parameters
        What was drawn at random, and other facts to record: JSON types.
    """

    target: ScanSet
    validation: ScanSet
    test: ScanSet
    references: ScanSet | None = None
    source: ScanSet | None = None
    pairs: tuple[ScanSet, ScanSet] | None = None
    no_pairs: str = "the cohort has no person scanned on both scanners"
    labelled: tuple[ScanSet, ScanSet] | None = None
    extra: Mapping[str, ScanSet] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def fit_data(self, seed: int) -> FitData:
        """Return the fit data, before it is restricted to what a model is entitled to."""
        return FitData(self.target, self.validation, seed, self.source, self.pairs, self.labelled)


class Task(ABC):
    """A question asked of every method.

    Attributes
    ----------
    name, summary
        As on the command line, and one line on what is asked.
    version
        Raised by the author whenever the same data would be scored otherwise.
    instruments
        What it measures with and has to be learnt, by a name of the task's own. Each is
        fitted once for a target, seed and preset, and shared by all cells.
    measures
        Names of scores that no registered metric makes, each with whether higher is better.
    headline
        The scores that tell most, first first: what is told of a cell in one line, and what
        people are ranked by.
    expected_failures
        Checks of `harmbench check` that it fails, each with the reason.
    """

    name: str
    summary: ClassVar[str]
    version: ClassVar[str] = "1"
    instruments: ClassVar[Mapping[str, type[Instrument]]] = {}
    measures: ClassVar[Mapping[str, bool]] = {}
    headline: ClassVar[Sequence[str]] = ("psnr", "ssim", "wasserstein")
    expected_failures: ClassVar[Mapping[str, str]] = {}

    @abstractmethod
    def setup(self, cohort: Cohort, seed: int) -> TaskData:
        """Choose the data, and draw what is random into parameters.

        Raises
        ------
        SkipCell
            With the reason, where this cohort cannot answer the question.
        """

    def scorer(self, context: ScoringContext) -> Scorer:
        """Return what gathers a cell's scores; by default every batch goes through `score`."""

        def score(harmonized: Scans, references: Scans | None) -> pd.DataFrame:
            return self.score(harmonized, references, context.data, context.metrics)

        return BatchScorer(score)

    def bounds(self, context: ScoringContext) -> Mapping[str, Mapping[str, Estimate]]:
        """Return what the scores are to be seen against, by title and metric; nothing by default.

        Such as what the instruments make of the target's own scans. It does not depend on the
        method, is computed once for all cells of the task, and recorded with each.
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
            All metrics that are registered.

        Returns
        -------
        pandas.DataFrame
            Columns person, scan, slice, metric and value; `slice` is -1 where the value
            is of the whole scan.
        """
        frames = [
            metric.table(harmonized, references, data.target)
            for metric in metrics
            if metric.applies(harmonized, references, data.target)
        ]
        return pd.concat(frames, ignore_index=True)
