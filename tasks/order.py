"""Whether subjects that were alike before harmonisation are alike after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import rankdata
from torch import Tensor
from torch.nn import functional

from harmbench import (
    Cohort,
    Family,
    Grid,
    Scans,
    Scorer,
    ScoringContext,
    SkipCell,
    Task,
    TaskData,
    ValueRange,
)

from .domains import choose

CELL = 12.0  # mm: images are averaged in cells of this size, so that noise is no distance
FEWEST = 4  # subjects: each has distances to three others

Array = npt.NDArray[np.float64]


def layout(images: Tensor, masks: Tensor, grid: Grid) -> Array:
    """Return the standardised means of N scans in cells of 12 mm: `(N, C)`.

    Parameters
    ----------
    images, masks
        `(N, S, H, W)`. A cell with less than half of it in the brain is 0.
    grid
        The grid of the scans.
    """
    slices, rows, columns = (
        max(1, round(count * step / CELL))
        for count, step in zip(grid.shape, grid.spacing, strict=True)
    )
    size = (slices, rows, columns)
    inside = masks.double()
    share = functional.adaptive_avg_pool3d(inside, size)
    total = functional.adaptive_avg_pool3d(images.double() * inside, size)
    cells, brain = (
        (total / share.clamp(min=1e-6)).flatten(1).numpy(),
        share.flatten(1).numpy() > 0.5,
    )
    mean = np.average(cells, axis=1, weights=brain)[:, None]
    deviation = np.sqrt(np.average((cells - mean) ** 2, axis=1, weights=brain))[:, None]
    standardised: Array = np.where(brain, (cells - mean) / np.maximum(deviation, 1e-6), 0.0)
    return standardised


def distances(layouts: Array) -> Array:
    """Return the root mean squared differences of `(n, C)`: `(n, n)`."""
    result: Array = np.sqrt(((layouts[:, None] - layouts[None]) ** 2).mean(axis=-1))
    return result


def rank_correlations(before: Array, after: Array) -> Array:
    """Return Spearman's correlation of each subject's distances to all others: `(n,)`.

    Parameters
    ----------
    before, after
        Distances `(n, n)`. Where all distances of a subject are equal, the correlation is 0: no
        order is left.
    """
    correlations = []
    for own, (first, second) in enumerate(zip(before, after, strict=True)):
        ranks = [rankdata(np.delete(values, own)) for values in (first, second)]
        deviations = [values - values.mean() for values in ranks]
        lengths = float(np.prod([np.sqrt((values**2).sum()) for values in deviations]))
        correlations.append(float(deviations[0] @ deviations[1]) / lengths if lengths else 0.0)
    return np.array(correlations)


class OrderScorer(Scorer):
    """Compares the distances between subjects before and after harmonisation.

    Parameters
    ----------
    grid
        The grid of the scans.
    """

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._names: list[tuple[str, str]] = []
        self._layouts: tuple[list[Array], list[Array]] = ([], [])

    def add(self, source: Scans, harmonized: Scans, references: Scans | None) -> None:
        """Keep the layouts of a batch, some hundred numbers a scan."""
        self._names += zip(harmonized.subjects, harmonized.sessions, strict=True)
        for kept, scans in zip(self._layouts, (source, harmonized), strict=True):
            kept.append(layout(scans.images, harmonized.masks, self._grid))

    def table(self) -> pd.DataFrame:
        """Return the rank correlation of each subject's distances."""
        before, after = (distances(np.concatenate(kept)) for kept in self._layouts)
        subjects, sessions = zip(*self._names, strict=True)
        return pd.DataFrame(
            {
                "subject": subjects,
                "scan": sessions,
                "slice": -1,
                "metric": "order",
                "value": rank_correlations(before, after),
            }
        )


class Order(Task):
    """Keep the distances between subjects in order.

    The distance of two subjects is the root mean squared difference of their standardised scans,
    averaged in cells of 12 mm. The score is Spearman's correlation of a subject's distances to
    all others before and after harmonisation.

    Parameters
    ----------
    source
        Name of the source domain.
    """

    summary = "keep the distances between subjects in order"
    family = Family.BIOLOGY
    measures: ClassVar[Mapping[str, bool]] = {"order": True}
    ranges: ClassVar[Mapping[str, ValueRange]] = {"order": ValueRange(-1.0, 1.0)}
    uses_metrics = False
    headline: ClassVar[Sequence[str]] = ("order",)
    group = "order"

    def __init__(self, source: str) -> None:
        self.source = source
        self.name = f"order-{source}"

    def setup(self, cohort: Cohort, seed: int) -> TaskData:
        """Choose one scan of each subject; nothing is random.

        Raises
        ------
        SkipCell
            If there are fewer than four test subjects.
        """
        data = choose(cohort, self.source)
        first = [data.test.subjects.index(name) for name in dict.fromkeys(data.test.subjects)]
        if len(first) < FEWEST:
            raise SkipCell(
                f"'{self.source}' has {len(first)} test subjects, and an order needs {FEWEST}"
            )
        return data.of_test_scans(first)

    def scorer(self, context: ScoringContext) -> Scorer:
        """Return a scorer of distances."""
        return OrderScorer(context.data.test.grid)

    def bounds(self, context: ScoringContext) -> Mapping[str, pd.DataFrame]:
        """Return the order of the same subjects on the target scanner, and on its repeat."""
        data = context.data
        sets = {
            "target scans of the same subjects": (data.test, data.references),
            "repeat on the target's scanner": (data.references, data.repeats),
        }
        bounds = {}
        for title, (one, other) in sets.items():
            if one is None or other is None:
                continue
            scorer = OrderScorer(data.test.grid)
            for first, second in zip(one.batches(), other.batches(), strict=True):
                scorer.add(first, replace(second, masks=first.masks & second.masks), None)
            bounds[title] = scorer.table()
        return bounds
