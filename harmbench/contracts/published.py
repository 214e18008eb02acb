"""Numbers printed in a paper, shown beside measured ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# The row of the unchanged method, in ablation tables of papers and in ours.
BASELINE = "Baseline"


@dataclass(frozen=True)
class Published:
    """The ablation table of a method's paper.

    Attributes
    ----------
    source
        Paper and table.
    data
        Data of the measurement; shown beside every number.
    values
        By metric, row and task. Rows are `"Baseline"` and the titles of the method's
        `ablations`; metrics and tasks have their names here.
    """

    source: str
    data: str
    values: Mapping[str, Mapping[str, Mapping[str, float]]]

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks with a number, in the paper's order."""
        rows = (row for table in self.values.values() for row in table.values())
        return tuple(dict.fromkeys(task for row in rows for task in row))

    def value(self, metric: str, row: str, task: str) -> float | None:
        """Return a number, or None where the paper has none."""
        return self.values.get(metric, {}).get(row, {}).get(task)
