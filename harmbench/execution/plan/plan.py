"""The plan of a request: every cell with its key or the reason it is skipped."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from harmbench.contracts.cell import Cell
from harmbench.contracts.fit_data import FitData
from harmbench.contracts.method import Method
from harmbench.contracts.metric import Metric
from harmbench.contracts.model import Model, fit_settings
from harmbench.contracts.needs import Needs
from harmbench.contracts.task import Task
from harmbench.contracts.task_data import TaskData
from harmbench.data.cohort import Cohort
from harmbench.data.scans import Grid
from harmbench.errors import SkipCell, one_line
from harmbench.execution.plan import settings
from harmbench.execution.plan.selection import Selection, Variant
from harmbench.plugins import Registry, code_version
from harmbench.util.hashing import canonical, digest
from harmbench.util.progress import Progress


@dataclass(frozen=True)
class Fit:
    """A model that is to be fitted, with everything that the result depends on.

    Attributes
    ----------
    name, model, config
        The model's name, its class and its settings.
    preset, seed, grid
        As of the cell.
    data
        What a task chose; the model is handed the part that it is entitled to.
    normalization, standard, prepared
        How the cohort's intensities were normalised, the standard it learnt or `()`, and what
        else was done to its scans (`Preparing.labels`): for scans from outside, and no part of
        the key, since the data's digest tells of all.
    users
        The models that are built on this one: it is handed no more than they are, or a blind
        method would see the source through it.
    """

    name: str
    model: type[Model]
    config: Any
    preset: str
    seed: int
    grid: Grid
    data: TaskData = field(repr=False)
    normalization: str
    standard: tuple[float, ...]
    prepared: tuple[str, ...]
    users: tuple[type[Model], ...] = ()

    @property
    def title(self) -> str:
        """The fit in a few words."""
        return f"fit of {self.name}, seed {self.seed}"

    @property
    def fit_data(self) -> FitData:
        """The data that the model is handed."""
        data = self.data.fit_data(self.seed)
        for model in (*self.users, self.model):
            data = model.entitled(data)
        return data

    @cached_property
    def parts(self) -> dict[str, Fit]:
        """The fits that the model is built on, by attribute (`Model.parts`)."""
        users = (*self.users, self.model)
        return {
            attribute: dataclasses.replace(
                self, name=part.name, model=part, config=config, users=users
            )
            for attribute, (part, config) in self.model.parts(self.config).items()
        }

    @cached_property
    def key(self) -> str:
        """Content hash of everything the result depends on; the same for every user of a fit."""
        return digest(
            "fit",
            self.name,
            code_version(self.model),
            self.preset,
            fit_settings(self.config),
            self.fit_data.digest,
            self.seed,
            self.grid,
            {attribute: part.key for attribute, part in self.parts.items()},
        )


@dataclass(frozen=True)
class PlannedCell:
    """A cell with what is needed to compute it.

    Attributes
    ----------
    cell
        The cell.
    variant
        The method and its settings.
    task, data
        The task, and the data it chose; None if the task refused the cohort.
    fit
        What is to be fitted for it; None for a method with nothing to learn.
    fault
        What the task's set-up failed with, or None.
    instruments
        What is to be fitted for the task, by the names it gave.
    bounds_key
        Content hash of everything that the task's bounds depend on.
    """

    cell: Cell
    variant: Variant
    task: Task | None
    data: TaskData | None
    grid: Grid
    fit: Fit | None = None
    fault: str | None = None
    instruments: Mapping[str, Fit] = field(default_factory=dict)
    bounds_key: str = ""

    @property
    def fits(self) -> tuple[Fit, ...]:
        """What must be fitted before the cell can be computed."""
        return (*self.instruments.values(), *(() if self.fit is None else (self.fit,)))

    @property
    def all_fits(self) -> tuple[Fit, ...]:
        """The same, with what these are built on, at any depth."""

        def with_parts(fit: Fit) -> Iterator[Fit]:
            yield fit
            for part in fit.parts.values():
                yield from with_parts(part)

        return tuple(one for fit in self.fits for one in with_parts(fit))

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
    """All jobs of a request, in the order in which they are computed."""

    cells: tuple[PlannedCell, ...]
    metrics: tuple[Metric, ...]
    cohort: Cohort


def make_plan(registry: Registry, selection: Selection, home: Path, progress: Progress) -> Plan:
    """Open the cohort, preparing it if need be, and plan every cell.

    Cells are ordered task by task within a seed, with methods in the order given and each
    before its ablations, so that the first use of a fit comes before the cells that share it.
    """
    request = selection.request
    cohort = Cohort.open(selection.source, selection.grid, home, progress)
    metrics = tuple(_working_metrics(registry))
    measures = sorted((metric.name, code_version(type(metric))) for metric in metrics)
    planned_cells = []
    for seed in request.seeds:
        for task_name, entry in selection.tasks.items():
            task, data, refusal, fault = None, None, None, None
            instruments: dict[str, Fit] = {}
            try:
                task = entry.build()
                data = task.setup(cohort, seed)
                for title, kind in task.instruments.items():
                    config = selection.instruments.get(kind.name, kind.preset(request.preset))
                    instruments[title] = _fit(
                        selection, cohort, seed, data, kind.name, kind, config
                    )
            except SkipCell as reason:
                refusal = str(reason)
            except Exception as error:
                # Of a plugin's task, most likely: it costs its own cells and no more.
                data, fault = None, f"the task's set-up failed: {one_line(error)}"
            asked = _cell(selection, cohort, seed, task_name, task, data, refusal, instruments)
            for variant in selection.variants:
                skip = asked.skip or (data and unmet(variant.method.needs, data))
                fit = None
                if data is not None and skip is None and variant.method.learns():
                    fit = _fit(
                        selection, cohort, seed, data, variant.name, variant.method, variant.config
                    )
                planned_cells.append(
                    PlannedCell(
                        _with_method(asked, variant, skip, fit, measures),
                        variant,
                        task,
                        data,
                        selection.grid,
                        fit,
                        fault,
                        instruments,
                        digest("bounds", asked.key, measures),
                    )
                )
    return Plan(tuple(planned_cells), metrics, cohort)


def _fit(
    selection: Selection,
    cohort: Cohort,
    seed: int,
    data: TaskData,
    name: str,
    model: type[Model],
    config: Any,
) -> Fit:
    return Fit(
        name,
        model,
        config,
        selection.request.preset,
        seed,
        selection.grid,
        data,
        cohort.normalization,
        tuple(cohort.facts.get("standard", ())),
        selection.request.prepare_options.labels,
    )


def _working_metrics(registry: Registry) -> Iterator[Metric]:
    for entry in registry.entries("metrics").values():
        try:
            yield entry.build()
        except Exception as error:
            registry.on_error(f"metric '{entry.name}' is left out: {one_line(error)}")


def _cell(
    selection: Selection,
    cohort: Cohort,
    seed: int,
    task_name: str,
    task: Task | None,
    data: TaskData | None,
    refusal: str | None,
    instruments: Mapping[str, Fit],
) -> Cell:
    """Describe the cell as far as the method does not matter; `key` is the task's part."""
    known = [] if data is None else [data.test, data.target, *data.extra.values()]
    if data is not None and data.references is not None:
        known.append(data.references)
    fits = {title: fit.key for title, fit in instruments.items()}
    changed = {
        f"{fit.name}.{name}": value
        for fit in instruments.values()
        for name, value in settings.changes(
            fit.config, fit.model.preset(selection.request.preset)
        ).items()
    }
    return Cell(
        method="",
        label="",
        # Measured otherwise, it is another question: numbers of the two share no column.
        task=settings.label(task_name, changed),
        cohort=cohort.name,
        seed=seed,
        preset=selection.request.preset,
        kind=cohort.kind,
        cohort_key=cohort.key,
        key=digest(
            task_name,
            code_version(type(task)),
            seed,
            [scans.digest for scans in known],
            refusal,
            *([fits, [fit.config for fit in instruments.values()]] if instruments else []),
        ),
        parameters={} if data is None else data.parameters,
        skip=refusal,
        normalization=cohort.normalization,
        instruments=fits,
    )


def _with_method(
    cell: Cell,
    variant: Variant,
    skip: str | None,
    fit: Fit | None,
    measures: Sequence[tuple[str, str]],
) -> Cell:
    name, method, config = variant.name, variant.method, variant.config
    fit_key = None if fit is None else fit.key
    return dataclasses.replace(
        cell,
        method=name,
        label=variant.label,
        key=digest("cell", cell.key, name, code_version(method), config, fit_key, measures, skip),
        question=digest("question", cell.key, measures),
        fit_key=fit_key,
        settings=canonical(config),
        control=method.control,
        skip=skip,
    )


def unmet(needs: Needs, data: TaskData) -> str | None:
    """Say why data cannot meet a method's needs; None if it can."""
    if needs is Needs.PAIRED and data.pairs is None:
        return f"needs pairs, and {data.no_pairs}"
    if needs is Needs.UNPAIRED and (data.source is None or not len(data.source)):
        return "needs training scans of the source domain, and there are none"
    if needs is Needs.TRUTH and data.references is None:
        return f"needs the paired truth, and {data.no_pairs}"
    return None
