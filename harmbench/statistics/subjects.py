"""Values by subject, and their encoding as short texts in records."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import pandas as pd

from harmbench.statistics.estimate import Array

# Significant digits; more than any comparison needs.
_DIGITS = 9


@dataclass(frozen=True)
class SubjectValues:
    """Values by subject, of several methods.

    Attributes
    ----------
    names
        The n subjects.
    labels
        The k methods.
    values
        `(n, k)`, averaged over seeds; NaN where a method has no value of a subject.
    """

    names: tuple[str, ...]
    labels: tuple[str, ...]
    values: Array

    def column(self, label: str) -> pd.Series:
        """Return a method's values by subject; empty if it has none."""
        if label not in self.labels:
            return pd.Series(dtype=float)
        values = self.values[:, self.labels.index(label)]
        return pd.Series(values, index=self.index).dropna()

    @cached_property
    def index(self) -> pd.Index:
        """The names as an index, created once for all columns."""
        return pd.Index(self.names, dtype=object)


def encode(means: pd.DataFrame) -> dict[str, str]:
    """Encode every subject's means over slices and scans.

    Parameters
    ----------
    means
        One row a subject and one column a metric: `by_subject` of the scores.

    Returns
    -------
    dict
        Names of subjects as a JSON list by `""`, and by each metric's name their values in
        that order, separated by commas; `nan` for a subject without a value.
    """
    values = {
        str(metric): ",".join(f"{value:.{_DIGITS}g}" for value in means[metric]) for metric in means
    }
    return {"": json.dumps([str(subject) for subject in means.index])} | values


def decode(subjects: str, values: str) -> tuple[tuple[str, ...], Array]:
    """Decode the texts of one metric that `encode` returned.

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
    defined = ~np.isnan(numbers)
    if defined.all():
        return names, numbers
    names_with_value = tuple(
        name for name, has_value in zip(names, defined, strict=True) if has_value
    )
    return names_with_value, numbers[defined]


@lru_cache(maxsize=1024)
def _names(subjects: str) -> tuple[str, ...]:
    return tuple(json.loads(subjects))


def encode_draws(draws: Array) -> str:
    """Encode bootstrap draws `(R,)` as a short text."""
    return ",".join(f"{value:.5g}" for value in draws)


def decode_draws(text: str) -> Array:
    """Decode what `encode_draws` returned."""
    return np.array(list(map(float, text.split(","))))
