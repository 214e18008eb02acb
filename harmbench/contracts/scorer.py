"""The contract of a scorer, which collects the scores of a cell batch by batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
import torch

from harmbench.contracts.metric import Metric
from harmbench.data.scans import Scans
from harmbench.statistics.estimate import Array, Estimate, estimates
from harmbench.util.progress import Progress

if TYPE_CHECKING:
    from harmbench.contracts.instrument import Instrument
    from harmbench.contracts.task_data import TaskData


@dataclass(frozen=True, kw_only=True)
class ScoringContext:
    """The inputs of scoring a cell.

    Attributes
    ----------
    data
        The task's data; its target scans are the population to compare with.
    metrics
        All registered metrics.
    instruments
        The task's fitted instruments by name, on the device and in eval mode.
    device
        Device of the computation; scans arrive on the CPU.
    seed, preset
        Seed and preset of the cell.
    progress
        Shows the progress of long work.
    """

    data: TaskData
    metrics: Sequence[Metric]
    instruments: Mapping[str, Instrument]
    device: torch.device
    seed: int
    preset: str
    progress: Progress


class Scorer(ABC):
    """Collects the scores of one cell.

    Batches come in the order of the test scans, each scan once. Memory must not grow with
    them, beyond a few numbers per scan: larger data belongs on disk.
    """

    @abstractmethod
    def add(self, source: Scans, harmonized: Scans, references: Scans | None) -> None:
        """Take a batch.

        Parameters
        ----------
        source, harmonized
            Images `(N, S, H, W)` in [0, 1], with masks, and labels if there are any.
        references
            The truth in the same order, or None.
        """

    @abstractmethod
    def table(self) -> pd.DataFrame:
        """Return all scores; called after the last batch.

        Returns
        -------
        pandas.DataFrame
            Columns subject, scan, slice, metric and value; `slice` is -1 for a value
            of the whole scan.
        """

    def estimates(self, scores: pd.DataFrame) -> dict[str, Estimate]:
        """Return each metric's number with its interval: means over subjects by default.

        Parameters
        ----------
        scores
            What `table` returned.
        """
        return estimates(scores)

    def draws(self, scores: pd.DataFrame) -> Mapping[str, Array]:
        """Return bootstrap draws of the metrics of the whole cohort, by name; none by default.

        Such a metric, as an ICC, is no mean over subjects. Two methods are compared by the
        differences of their draws, which `harmbench.bootstrap_draws` makes of the same resamples.

        Parameters
        ----------
        scores
            What `table` returned.

        Returns
        -------
        Mapping
            `(R,)` by metric; of the subjects in order of name.
        """
        return {}

    def annotated(self, scans: Scans) -> Scans:
        """Return scans with the output of an instrument, for figures; unchanged by default.

        Parameters
        ----------
        scans
            One slice `(N, 1, H, W)` of the source, harmonised or target scans.
        """
        return scans


class BatchScorer(Scorer):
    """Scores every batch independently.

    Parameters
    ----------
    score
        Function from harmonised scans and references to a table of scores.
    """

    def __init__(self, score: Callable[[Scans, Scans | None], pd.DataFrame]) -> None:
        self._score = score
        self._frames: list[pd.DataFrame] = []

    def add(self, source: Scans, harmonized: Scans, references: Scans | None) -> None:
        """Score a batch."""
        self._frames.append(self._score(harmonized, references))

    def table(self) -> pd.DataFrame:
        """Return one table of all batches."""
        return pd.concat(self._frames, ignore_index=True)
