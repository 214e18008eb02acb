"""The contract of a metric."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import pandas as pd
from torch import Tensor

from harmbench.contracts.purpose import Purpose
from harmbench.data.scan_set import ScanSet
from harmbench.data.scans import Scans
from harmbench.statistics.value_range import UNBOUNDED, ValueRange


class Metric(ABC):
    """A number for every slice, or for every scan, of a batch.

    Attributes
    ----------
    name
        Name in tables: letters, digits and underscores.
    summary
        Quantity and region of the measurement, in one line.
    unit
        `"dB"`, or empty for a plain number.
    higher_is_better
        Whether a higher value is better.
    value_range
        The smallest and the largest possible value of a subject: the interval of the mean lies
        within. Unbounded by default.
    purpose
        What the metric is for: which metrics may rank methods.
    version
        Increased by the author when the meaning of the values changes: a new board begins.
        Changes of code alone are noticed without it.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    unit: ClassVar[str] = ""
    higher_is_better: ClassVar[bool] = True
    value_range: ClassVar[ValueRange] = UNBOUNDED
    purpose: ClassVar[Purpose] = Purpose.DETAIL
    version: ClassVar[str] = "1"

    @abstractmethod
    def applies(self, harmonized: Scans, references: Scans | None, target: ScanSet) -> bool:
        """Whether the metric has its inputs, such as a reference or labels."""

    @abstractmethod
    def measure(self, harmonized: Scans, references: Scans | None, target: ScanSet) -> Tensor:
        """Measure a batch.

        Parameters
        ----------
        harmonized, references
            N scans and, if known, their truth in the same order.
        target
            Training scans of the target domain: the population to compare with.

        Returns
        -------
        Tensor
            `(N, S)`, a value for every slice, or `(N,)`, a value for every scan. NaN
            where the metric is not defined, such as on a slice without foreground.
        """

    def table(self, harmonized: Scans, references: Scans | None, target: ScanSet) -> pd.DataFrame:
        """Measure a batch into a score table with columns subject, scan, slice, metric, value."""
        values = self.measure(harmonized, references, target).detach().cpu().double().numpy()
        per_slice = values.ndim == 2
        count = values.shape[1] if per_slice else 1
        return pd.DataFrame(
            {
                "subject": np.repeat(harmonized.subjects, count),
                "scan": np.repeat(harmonized.sessions, count),
                "slice": np.tile(np.arange(count) if per_slice else [-1], len(values)),
                "metric": self.name,
                "value": values.ravel(),
            }
        )
