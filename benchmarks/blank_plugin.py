"""Methods and tasks without work, for many_cells.py: ten of each, so that a seed has 100 cells.

Five of the methods are fitted. All fits are stored and all scores are recorded as for real ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import pandas as pd

from harmbench import Lazy, Method, Needs, Task, hookimpl
from harmbench_tasks.domains import choose

COUNT = 10
METHODS = tuple(f"blank{i}" for i in range(COUNT))
TASKS = tuple(f"empty{i}" for i in range(COUNT))


class Blank(Method):
    """Return scans unchanged, and learn nothing."""

    name = "blank"
    summary = "nothing"
    needs = Needs.NOTHING

    def forward(self, scans):
        """Return the scans."""
        return scans


class FittedBlank(Blank):
    """Return scans unchanged, after a fit without work."""

    name = "fitted-blank"
    needs = Needs.TARGET

    def fit(self, data, progress):
        """Learn nothing."""


class Empty(Task):
    """Score each test scan by 1."""

    summary = "nothing"
    measures: ClassVar[Mapping[str, bool]] = {"one": True}
    headline = ("one",)
    uses_metrics = False

    def __init__(self, name):
        self.name = name

    def setup(self, cohort, seed):
        """Choose the scans of the first source."""
        return choose(cohort, "domain1")

    def score(self, harmonized, references, data, metrics):
        """Return 1 for each scan."""
        rows = [(subject, "1", -1, "one", 1.0) for subject in harmonized.subjects]
        return pd.DataFrame(rows, columns=["subject", "scan", "slice", "metric", "value"])


@hookimpl
def register_methods():
    """Register each method under five names."""
    return {name: Blank if i % 2 else FittedBlank for i, name in enumerate(METHODS)}


@hookimpl
def register_tasks():
    """Register the task under ten names."""
    return {name: Lazy(f"{__name__}:Empty", {"name": name}) for name in TASKS}
