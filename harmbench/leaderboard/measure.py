"""A metric as boards use it: name, direction, unit and purpose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from harmbench.contracts.purpose import Purpose
from harmbench.leaderboard.formatting import direction
from harmbench.statistics.estimate import Array, Estimate, mean_intervals
from harmbench.statistics.value_range import UNBOUNDED, ValueRange, decode_ranges

# A difference that matters in practice, for forecasts of the number of subjects.
RELEVANT_DECIBELS = 0.5
# An image without any error has an infinite PSNR; tests need a number.
_LARGEST_DECIBELS = 100.0


@dataclass(frozen=True, kw_only=True)
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
    purpose
        Whether it may rank methods; `DETAIL` for a metric that is not registered here.
    value_range
        The smallest and the largest possible value.
    """

    name: str
    higher_is_better: bool
    unit: str = ""
    purpose: Purpose = Purpose.DETAIL
    value_range: ValueRange = UNBOUNDED

    def intervals(self, values: Array) -> list[Estimate]:
        """Estimate the mean of each column `(n, k)`, with an interval within the range."""
        return [self.value_range.interval(estimate) for estimate in mean_intervals(values)]

    @property
    def direction(self) -> str:
        """`"higher is better"` or `"lower is better"`."""
        return direction(higher_is_better=self.higher_is_better)

    @property
    def axis_title(self) -> str:
        """Name, unit and direction."""
        unit = f" [{self.unit}]" if self.unit else ""
        return f"{self.name}{unit}, {self.direction}"

    @property
    def ranks(self) -> bool:
        """Whether methods may be ranked by it."""
        return self.purpose is not Purpose.DIAGNOSTIC

    @property
    def decimals(self) -> int | None:
        """Digits after the point of values and differences; None for the usual number."""
        return 2 if self.unit == "dB" else None

    @property
    def sign(self) -> float:
        """1 if higher is better, -1 if lower is better."""
        return 1.0 if self.higher_is_better else -1.0

    def finite(self, values: Array) -> Array:
        """Return the values with infinite ones replaced, for tests.

        Decibels are limited to 100; other infinite values become NaN.
        """
        if self.unit == "dB":
            return np.clip(values, -_LARGEST_DECIBELS, _LARGEST_DECIBELS)
        return np.where(np.isinf(values), np.nan, values)


def measures(
    runs: pd.DataFrame, declarations: Mapping[str, Mapping[str, str]] | None = None
) -> dict[str, Measure]:
    """Return the metrics that runs hold, by name.

    Directions, ranges, and which metrics are diagnostic, are read from the runs, so that metrics of
    plugins that are not installed here can be shown.

    Parameters
    ----------
    runs
        The table of runs.
    declarations
        Unit and purpose of the metrics that are registered here, by name.
    """
    suffix = ".subjects"
    lower = {name for names in runs["lower_is_better"] for name in names.split(",")}
    diagnostic = {name for names in runs["diagnostic"] for name in names.split(",")}
    texts = runs["ranges"].unique() if "ranges" in runs else ()
    ranges = {name: each for text in texts for name, each in decode_ranges(text).items()}
    columns = map(str, runs.columns)
    names = [column.removesuffix(suffix) for column in columns if column.endswith(suffix)]
    declarations = declarations or {}
    return {
        name: Measure(
            name=name,
            higher_is_better=name not in lower,
            value_range=ranges.get(name, UNBOUNDED),
            unit=declarations.get(name, {}).get("unit", ""),
            purpose=Purpose.DIAGNOSTIC
            if name in diagnostic
            else Purpose(declarations.get(name, {}).get("purpose") or Purpose.DETAIL),
        )
        for name in names
    }
