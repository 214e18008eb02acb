"""The contract of a figure that `harmbench figure` draws, such as those of a method's paper."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from matplotlib.figure import Figure
from torch import Tensor

from harmbench.contracts.cell import Cell
from harmbench.contracts.method import Method
from harmbench.contracts.task_data import TaskData
from harmbench.data.cohort import Cohort
from harmbench.data.scan_kind import phantom_note
from harmbench.util.progress import Progress


@dataclass(frozen=True, kw_only=True)
class FigureContext:
    """The data of a figure.

    Attributes
    ----------
    cell
        Names of method, task, cohort and preset, and the seed.
    method, config
        Class and settings of the method.
    cohort, data
        The cohort, and the task's selection from it.
    fitted
        Returns the fitted method; fits it if the store has no fit.
    t2_weighted
        Returns a T2-weighted image of a subject; see `CohortSource.t2_weighted`.
    progress
        Shows the progress of long work.
    """

    cell: Cell
    method: type[Method]
    config: Any
    cohort: Cohort
    data: TaskData
    fitted: Callable[[], Method]
    t2_weighted: Callable[[str], Tensor | None]
    progress: Progress

    @property
    def origin(self) -> str:
        """Cohort, preset and seed, for the figure's title; a phantom cohort is marked."""
        cell = self.cell
        note = phantom_note(cell.kind)
        return f"cohort {cell.cohort}{note}, {cell.preset} preset, seed {cell.seed}"


class PaperFigure(ABC):
    """A figure; a plugin registers the class by the hook `register_figures`.

    Attributes
    ----------
    name, summary
        Name on the command line, and a description in one line.
    method
        Default method; None without a default.
    tasks
        The default is the first of these tasks that the cohort has.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    method: ClassVar[str | None] = None
    tasks: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def draw(self, context: FigureContext) -> Figure:
        """Draw the figure; the same context gives the same image.

        Raises
        ------
        UserError
            If the figure does not exist for this method or task; names one that works.
        """
