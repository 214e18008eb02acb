"""The contract of a task: what is asked, what is known of the truth, how it is scored."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pandas as pd

from harmbench.data.cohort import Cohort
from harmbench.data.scanset import ScanSet
from harmbench.method import FitData
from harmbench.metrics.base import Metric
from harmbench.scans import Scans

SCORE_COLUMNS = ("person", "scan", "slice", "metric", "value")


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
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def fit_data(self, seed: int) -> FitData:
        """Return the fit data, before it is restricted to a method's needs."""
        return FitData(self.target, self.validation, seed, self.source, self.pairs)


class Task(ABC):
    """A question asked of every method.

    Attributes
    ----------
    name, summary
        As on the command line, and one line on what is asked.
    version
        Raised by the author whenever the same data would be scored otherwise.
    """

    name: str
    summary: ClassVar[str]
    version: ClassVar[str] = "1"

    @abstractmethod
    def setup(self, cohort: Cohort, seed: int) -> TaskData:
        """Choose the data, and draw what is random into parameters.

        Raises
        ------
        SkipCell
            With the reason, where this cohort cannot answer the question.
        """

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
