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
    """What a figure is drawn of.

    Attributes
    ----------
    cell
        Method, task, cohort, preset and seed, by name.
    method, config
        Class and settings of the method.
    cohort, data
        The cohort, and what the task chose of it.
    fitted
        Returns the fitted method; fits it, if `harmbench run` has not done so before.
    t2_weighted
        Returns a T2-weighted image of a subject; see `CohortSource.t2_weighted`.
    progress
        To show how far long work has come.
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
        """Cohort, preset and seed, for the figure's title; a phantom is called one."""
        cell = self.cell
        note = phantom_note(cell.kind)
        return f"cohort {cell.cohort}{note}, {cell.preset} preset, seed {cell.seed}"


class PaperFigure(ABC):
    """A figure; a plugin registers the class by the hook `register_figures`.

    Attributes
    ----------
    name, summary
        As on the command line, and one line on what is to be seen.
    method
        Drawn of this method, unless another is asked for; None if there is no usual one.
    tasks
        Drawn of the first of these that the cohort has, unless another is asked for.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    method: ClassVar[str | None] = None
    tasks: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def draw(self, context: FigureContext) -> Figure:
        """Draw the figure; the same context gives the same picture.

        Raises
        ------
        UserError
            If it cannot be drawn of this method or task, with one that it can be drawn of.
        """
