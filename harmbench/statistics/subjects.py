"""What a run tells of each subject, as the short texts that go with it into MLflow."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import pandas as pd

from harmbench.statistics.estimate import Array, by_subject

# Enough that a difference is never a matter of writing it down.
_DIGITS = 9


@dataclass(frozen=True)
class Subjects:
    """Values of subjects, of several methods.

    Attributes
    ----------
    names
        The n subjects.
    labels
        The k methods that tell of them.
    values
        `(n, k)`, averaged over seeds; NaN where a method has none of a subject.
    """

    names: tuple[str, ...]
    labels: tuple[str, ...]
    values: Array

    def column(self, label: str) -> pd.Series:
        """Return the subjects that a method has a value of; empty if it tells of nobody."""
        if label not in self.labels:
            return pd.Series(dtype=float)
        values = self.values[:, self.labels.index(label)]
        return pd.Series(values, index=self.index).dropna()

    @cached_property
    def index(self) -> pd.Index:
        """The names, made once for all columns."""
        return pd.Index(self.names, dtype=object)


def encode(scores: pd.DataFrame) -> dict[str, str]:
    """Write the means of every subject over slices and scans.

    Parameters
    ----------
    scores
        Columns person, scan, slice, metric and value.

    Returns
    -------
    dict
        Names of subjects as a JSON list by `""`, and by each metric's name their values in
        that order, with commas between; `nan` for a subject without one.
    """
    table = by_subject(scores)
    values = {
        str(metric): ",".join(f"{value:.{_DIGITS}g}" for value in table[metric]) for metric in table
    }
    return {"": json.dumps([str(subject) for subject in table.index])} | values


def decode(subjects: str, values: str) -> tuple[tuple[str, ...], Array]:
    """Read back what `encode` wrote of one metric.

    Returns
    -------
    tuple
        The names of the subjects that have a value, and their values.
    """
    if not (subjects and values):
        return (), np.empty(0)
    numbers = np.array(list(map(float, values.split(","))))
    names = _names(subjects)
    if len(names) != len(numbers):
        return (), np.empty(0)
    known = ~np.isnan(numbers)
    if known.all():
        return names, numbers
    return tuple(name for name, there in zip(names, known, strict=True) if there), numbers[known]


@lru_cache(maxsize=1024)
def _names(subjects: str) -> tuple[str, ...]:
    return tuple(json.loads(subjects))
