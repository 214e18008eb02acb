"""The plan of a request: every cell with its key or the reason it is skipped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from harmbench.contracts.cell import Cell, CellResult
from harmbench.contracts.method import Method
from harmbench.contracts.metric import Metric
from harmbench.contracts.task import Task
from harmbench.contracts.task_data import TaskData
from harmbench.data.cohort import Cohort
from harmbench.data.scans import Grid
from harmbench.errors import BlindnessError, SharedSubjectsError, one_line
from harmbench.execution.plan.fit import Fit
from harmbench.execution.plan.question import Question
from harmbench.execution.plan.questions import Questions
from harmbench.execution.plan.selection import Selection, Variant
from harmbench.execution.plan.unmet import left_out_of_fits, unmet
from harmbench.plugins import Registry
from harmbench.util.hashing import digest
from harmbench.util.progress import Progress
from harmbench.util.source_code import code_version


@dataclass(frozen=True, kw_only=True)
class PlannedCell:
    """A cell with everything needed to compute it.

    Attributes
    ----------
    cell
        The cell.
    variant
        The method and its settings.
    task, data
        The task, and the data it chose; None if the task refused the cohort.
    all_data
        The same with all test scans, where `data` lacks those of which a submission has no image.
    grid
        The grid that the scans lie on.
    fit
        The method's fit; None for a method that learns nothing.
    fault
        The error of the task's set-up or of its data, or None.
    instruments
        Fits of the task's instruments, by the task's names for them.
    result_key
        Content hash of everything on the task's side that numbers depend on, except metrics.
    outputs_key
        Content hash of everything that the harmonised scans depend on, the same for all tasks that
        test these scans. Empty for a cell that is not computed, and for a control that is given
        target scans.
    metric_keys
        Keys of the metrics that the cell is scored by, by name: of declared version and code.
    """

    cell: Cell
    variant: Variant
    task: Task | None
    data: TaskData | None
    grid: Grid
    all_data: TaskData | None = None
    fit: Fit | None = None
    fault: str | None = None
    instruments: Mapping[str, Fit] = field(default_factory=dict)
    result_key: str = ""
    outputs_key: str = ""
    metric_keys: Mapping[str, str] = field(default_factory=dict)

    @property
    def fits(self) -> tuple[Fit, ...]:
        """The fits that the cell needs."""
        return (*self.instruments.values(), *(() if self.fit is None else (self.fit,)))

    @property
    def all_fits(self) -> tuple[Fit, ...]:
        """The fits that the cell needs, with their parts at any depth."""

        def with_parts(fit: Fit) -> Iterator[Fit]:
            yield fit
            for part in fit.parts.values():
                yield from with_parts(part)

        return tuple(each for fit in self.fits for each in with_parts(fit))

    def missing_metrics(self, result: CellResult) -> set[str]:
        """Return the names of the metrics that a stored result lacks or has of other code."""
        stored = result.facts.get("metrics", {})
        return {
            name
            for name, key in self.metric_keys.items()
            if name not in stored or stored[name]["key"] != key
        }

    @property
    def method(self) -> type[Method]:
        """Class of the method."""
        return self.variant.method

    @property
    def config(self) -> Any:
        """Settings of the method."""
        return self.variant.config


@dataclass(frozen=True)
class Plan:
    """All cells of a request, in the order in which they are computed.

    Attributes
    ----------
    cells, metrics
        The cells, and the metrics that score them.
    cohort
        The cohort with the splits of the request; its own splits if there are folds.
    """

    cells: tuple[PlannedCell, ...]
    metrics: tuple[Metric, ...]
    cohort: Cohort

    @cached_property
    def cells_of_outputs(self) -> dict[str, set[str]]:
        """The keys of cells by their `outputs_key`, if several have it."""
        cells: dict[str, set[str]] = {}
        for planned in self.cells:
            if planned.outputs_key:
                cells.setdefault(planned.outputs_key, set()).add(planned.cell.key)
        return {key: sharing for key, sharing in cells.items() if len(sharing) > 1}


def make_plan(registry: Registry, selection: Selection, home: Path, progress: Progress) -> Plan:
    """Open the cohort, preparing it if necessary, and plan every cell.

    Cells are ordered task by task within a seed and fold, with methods in the order given and each
    before its ablations, so that the first use of a fit comes before the cells that share it.
    """
    questions = Questions.open(selection, home, progress)
    metrics = tuple(_working_metrics(registry))
    metric_keys = {metric.name: digest(code_version(type(metric))) for metric in metrics}
    cells = [
        _planned(question, variant, metric_keys)
        for question in questions
        for variant in selection.variants
    ]
    for line in left_out_of_fits(cells):
        progress.log(line)
    return Plan(tuple(cells), metrics, questions.cohort)


def _planned(question: Question, variant: Variant, metric_keys: Mapping[str, str]) -> PlannedCell:
    data, skip, fault, fit = question.data, question.skip, question.fault, None
    all_data: TaskData | None = None
    submission: dict[str, Any] = {}
    if data is not None and variant.submission is not None:
        images = variant.submission.of_task(question.task_name, data.test)
        request = variant.submission.request
        variant = replace(variant, config=images.config(request))
        submission, all_data, data = images.record(request), data, images.data(data)
        if not images.volumes:
            skip = f"the submission has no image of the {len(images.missing)} test scans"
    if data is not None and skip is None:
        # The needs of the method behind a submission are unknown, and its images exist.
        skip = None if variant.submission is not None else unmet(variant.method, data)
        if skip is None and variant.method.learns():
            try:
                fit = question.fit_of(variant)
            except SharedSubjectsError as error:
                fault = f"the task's data are not fair: {error}"
            except BlindnessError as error:
                fault = f"a part of the method receives less than it declares: {error}"
    computed = data is not None and skip is None and fault is None
    own_outputs = computed and not variant.method.needs.control_only
    return PlannedCell(
        cell=question.cell(variant, skip=skip, fit=fit, submission=submission),
        variant=variant,
        task=question.task,
        data=data,
        all_data=all_data,
        grid=question.selection.grid,
        fit=fit,
        fault=fault,
        instruments=question.instruments,
        result_key=question.result_key,
        outputs_key=question.outputs_key(variant, fit) if own_outputs else "",
        metric_keys=metric_keys if question.task is None or question.task.uses_metrics else {},
    )


def _working_metrics(registry: Registry) -> Iterator[Metric]:
    for entry in registry.entries("metrics").values():
        try:
            yield entry.build()
        except Exception as error:
            registry.report(f"metric '{entry.name}' is left out: {one_line(error)}")
