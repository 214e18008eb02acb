"""The contract of a scorer: what gathers a cell's numbers, batch by batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
import torch

from harmbench.contracts.metric import Metric
from harmbench.data.scans import Scans
from harmbench.statistics.estimate import Estimate, estimates
from harmbench.util.progress import Progress

if TYPE_CHECKING:
    from harmbench.contracts.instrument import Instrument
    from harmbench.contracts.task_data import TaskData


@dataclass(frozen=True, kw_only=True)
class ScoringContext:
    """What a cell is scored with.

    Attributes
    ----------
    data
        What the task chose; its target scans are the population to compare with.
    metrics
        All metrics that are registered.
    instruments
        The task's, fitted, on the device and in eval mode, by the names it gave them.
    device
        Where to compute; scans come on the CPU.
    seed, preset
        As of the cell.
    progress
        To show how far long work has come.
    """

    data: TaskData
    metrics: Sequence[Metric]
    instruments: Mapping[str, Instrument]
    device: torch.device
    seed: int
    preset: str
    progress: Progress


class Scorer(ABC):
    """Gathers the numbers of one cell.

    Batches come in the order of the test scans, each scan once. Memory must not grow with
    them, beyond a few numbers a scan: what needs more is to be put on disk.
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
        """Return all scores, once every batch was taken.

        Returns
        -------
        pandas.DataFrame
            Columns subject, scan, slice, metric and value; `slice` is -1 where the value
            is of the whole scan.
        """

    def estimates(self, scores: pd.DataFrame) -> dict[str, Estimate]:
        """Return each metric's number with its interval: means over subjects by default.

        Parameters
        ----------
        scores
            What `table` returned.
        """
        return estimates(scores)

    def annotated(self, scans: Scans) -> Scans:
        """Return scans with what an instrument made of them, to be drawn; as they are by default.

        Parameters
        ----------
        scans
            Of one slice, `(N, 1, H, W)`: a slice of the source, harmonised or target scans.
        """
        return scans


class BatchScorer(Scorer):
    """Scores batch by batch, each by itself.

    Parameters
    ----------
    score
        Scores a batch: harmonised scans and references, to a table of scores.
    """

    def __init__(self, score: Callable[[Scans, Scans | None], pd.DataFrame]) -> None:
        self._score = score
        self._frames: list[pd.DataFrame] = []

    def add(self, source: Scans, harmonized: Scans, references: Scans | None) -> None:
        """Score a batch."""
        self._frames.append(self._score(harmonized, references))

    def table(self) -> pd.DataFrame:
        """Return the tables of all batches as one."""
        return pd.concat(self._frames, ignore_index=True)
