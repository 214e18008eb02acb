"""From names on the command line to the list of cells, each with its key or its reason."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from harmbench.data.address import parse_cohort
from harmbench.data.cohort import DEFAULT_NORMALIZATION, Cohort, CohortSource
from harmbench.errors import SkipCell, UserError
from harmbench.hashing import canonical, digest
from harmbench.method import FitData, Method, fit_settings
from harmbench.metrics.base import Metric
from harmbench.needs import Needs
from harmbench.plugins import Entry, Registry, code_version, matching, one_line
from harmbench.progress import Progress
from harmbench.published import BASELINE
from harmbench.run import settings
from harmbench.run.cell import Cell
from harmbench.scans import GRIDS, Grid
from harmbench.task import Task, TaskData


@dataclass(frozen=True)
class Request:
    """What the user asked for; patterns may be globs.

    Attributes
    ----------
    methods, tasks
        Names or globs.
    cohort, recipe
        `NAME` or `NAME:ARGUMENT`, and the path of a recipe or None.
    preset, seeds
        `"quick"` or `"paper"`, and the base seeds.
    assignments
        Texts of the form `method.field=value`.
    ablations
        Whether the ablations that the methods name are asked for, too.
    normalize
        Name of how the scans' intensities are normalised.
    """

    methods: Sequence[str]
    tasks: Sequence[str]
    cohort: str = "phantom"
    recipe: Path | None = None
    preset: str = "quick"
    seeds: Sequence[int] = (0,)
    assignments: Sequence[str] = ()
    ablations: bool = False
    normalize: str = DEFAULT_NORMALIZATION


@dataclass(frozen=True)
class Variant:
    """A method under one set of settings: what is compared.

    Attributes
    ----------
    name
        The method's name.
    method, config
        Its class and its settings.
    label
        The name, with what differs from the preset: `"blindharmony[alpha=0]"`.
    title
        `BASELINE`, or the ablation's own title.
    """

    name: str
    method: type[Method]
    config: Any
    label: str
    title: str = BASELINE


@dataclass(frozen=True)
class Fit:
    """A method that is to be fitted, with everything that the result depends on.

    Attributes
    ----------
    name, method, config
        The method's name, its class and its settings.
    preset, seed, grid
        As of the cell.
    data
        What a task chose; the method is handed the part that its needs entitle it to.
    normalization, standard
        How the cohort's intensities were normalised, and the standard it learnt or `()`: for
        scans from outside, and no part of the key, since the data's digest tells of both.
    users
        Needs of the methods that are built on this one: it is handed no more than they are,
        or a blind method would see the source through it.
    """

    name: str
    method: type[Method]
    config: Any
    preset: str
    seed: int
    grid: Grid
    data: TaskData = field(repr=False)
    normalization: str
    standard: tuple[float, ...]
    users: tuple[Needs, ...] = ()

    @property
    def fit_data(self) -> FitData:
        """The data that the method is handed."""
        data = self.data.fit_data(self.seed)
        for needs in (*self.users, self.method.needs):
            data = data.restricted(needs)
        return data

    @cached_property
    def parts(self) -> dict[str, Fit]:
        """The fits that the method is built on, by attribute (`Method.parts`)."""
        users = (*self.users, self.method.needs)
        return {
            attribute: dataclasses.replace(
                self, name=part.name, method=part, config=config, users=users
            )
            for attribute, (part, config) in self.method.parts(self.config).items()
        }

    @cached_property
    def key(self) -> str:
        """Content hash of everything the result depends on; the same for every user of a fit."""
        return digest(
            "fit",
            self.name,
            code_version(self.method),
            self.preset,
            fit_settings(self.config),
            self.fit_data.digest,
            self.seed,
            self.grid,
            {attribute: part.key for attribute, part in self.parts.items()},
        )


@dataclass(frozen=True)
class Job:
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
    """

    cell: Cell
    variant: Variant
    task: Task | None
    data: TaskData | None
    grid: Grid
    fit: Fit | None = None
    fault: str | None = None

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

    jobs: tuple[Job, ...]
    metrics: tuple[Metric, ...]
    cohort: Cohort


@dataclass(frozen=True)
class Selection:
    """What the names of a request stand for, before any data is touched."""

    variants: tuple[Variant, ...]
    tasks: Mapping[str, Entry]
    source: CohortSource
    grid: Grid
    request: Request = field(repr=False)

    def is_prepared(self, home: Path) -> bool:
        """Whether the cohort was prepared before."""
        return (Cohort.path(self.source, self.grid, home) / "cohort.json").exists()


def open_source(
    registry: Registry,
    cohort: str,
    recipe: Path | None,
    normalize: str = DEFAULT_NORMALIZATION,
) -> CohortSource:
    """Return the cohort source for `NAME`, `NAME:ARGUMENT` or `FILE.csv`.

    Raises
    ------
    UserError
        If there is no such source, or it cannot be normalised so.
    """
    name, argument = parse_cohort(cohort)
    source = registry.entry("cohorts", name).build(argument, recipe)
    if not isinstance(source, CohortSource):
        raise UserError(f"what is registered as the cohort '{name}' is no CohortSource")
    if normalize not in source.normalizations:
        raise UserError.unknown(
            f"normalisation of the cohort '{name}'", normalize, source.normalizations
        )
    source.normalization = normalize
    return source


def select(registry: Registry, request: Request) -> Selection:
    """Look up every name and check every setting; nothing is prepared yet.

    Raises
    ------
    UserError
        For an unknown method, task, cohort, preset or setting.
    """
    if request.preset not in GRIDS:
        raise UserError.unknown("preset", request.preset, GRIDS)
    grid = GRIDS[request.preset]
    # Names before data: a slip of the pen is told at once, whatever state the data is in.
    method_entries = registry.entries("methods")
    names = matching("method", request.methods, method_entries)
    assignments = settings.parse(request.assignments)
    for name in assignments:
        if name not in method_entries:
            raise UserError.unknown("method", name, method_entries)
        if name not in names:
            raise UserError(f"--set {name}: the method '{name}' is not among those to run")
    source = open_source(registry, request.cohort, request.recipe, request.normalize)
    task_entries = registry.entries("tasks", source.sources)
    tasks = {name: task_entries[name] for name in matching("task", request.tasks, task_entries)}
    variants: list[Variant] = []
    for name in names:
        try:
            found = _variants(method_entries[name], request, assignments.get(name, {}))
            _try_on(found, grid)
        except UserError as error:
            if name in request.methods or name in assignments:
                raise
            registry.on_error(f"method '{name}' is left out: {error}")
        else:
            variants += found
    return Selection(tuple(variants), tasks, source, grid, request)


def _variants(entry: Entry, request: Request, values: Mapping[str, str]) -> list[Variant]:
    """Return a method under the request's settings, and its ablations if they are asked for."""
    name, method = entry.name, entry.load()
    preset = method.preset(request.preset)
    config = settings.apply(name, preset, values)
    configs = {BASELINE: config}
    if request.ablations:
        for title, changed in method.ablations.items():
            configs[title] = settings.change(name, config, changed, f"ablation '{title}':")
    return [
        Variant(name, method, config, settings.label(name, settings.changes(config, preset)), title)
        for title, config in configs.items()
    ]


def _try_on(variants: Sequence[Variant], grid: Grid) -> None:
    """Build what is to be fitted once, so that settings that do not fit the grid are told.

    Raises
    ------
    UserError
        What a method says of its settings. Other errors are faults of the method, which
        cost its cells and no more.
    """
    tried: list[dict[str, Any]] = []
    for variant in variants:
        # What acts at inference has no say in the shapes, and building a network takes time.
        fitting = fit_settings(variant.config)
        if fitting in tried:
            continue
        tried.append(fitting)
        try:
            variant.method(grid, variant.config)
        except UserError:
            raise
        except Exception:
            continue


def make_plan(registry: Registry, selection: Selection, home: Path, progress: Progress) -> Plan:
    """Open the cohort, preparing it if need be, and plan every cell.

    Cells are ordered task by task within a seed, with methods in the order given and each
    before its ablations, so that the first use of a fit comes before the cells that share it.
    """
    request = selection.request
    cohort = Cohort.open(selection.source, selection.grid, home, progress)
    metrics = tuple(_working_metrics(registry))
    jobs = []
    for seed in request.seeds:
        for task_name, entry in selection.tasks.items():
            task, data, refusal, fault = None, None, None, None
            try:
                task = entry.build()
                data = task.setup(cohort, seed)
            except SkipCell as reason:
                refusal = str(reason)
            except Exception as error:
                # Of a plugin's task, most likely: it costs its own cells and no more.
                fault = f"the task's set-up failed: {one_line(error)}"
            asked = _cell(cohort, request.preset, seed, task_name, task, data, refusal)
            for variant in selection.variants:
                skip = asked.skip or (data and unmet(variant.method.needs, data))
                fit = None
                if data is not None and skip is None and variant.method.learns():
                    fit = Fit(
                        variant.name,
                        variant.method,
                        variant.config,
                        request.preset,
                        seed,
                        selection.grid,
                        data,
                        cohort.normalization,
                        tuple(cohort.facts.get("standard", ())),
                    )
                cell = _with_method(asked, variant, skip, fit, metrics)
                jobs.append(Job(cell, variant, task, data, selection.grid, fit, fault))
    return Plan(tuple(jobs), metrics, cohort)


def _working_metrics(registry: Registry) -> Iterator[Metric]:
    for entry in registry.entries("metrics").values():
        try:
            yield entry.build()
        except Exception as error:
            registry.on_error(f"metric '{entry.name}' is left out: {one_line(error)}")


def _cell(
    cohort: Cohort,
    preset: str,
    seed: int,
    task_name: str,
    task: Task | None,
    data: TaskData | None,
    refusal: str | None,
) -> Cell:
    """Describe the cell as far as the method does not matter; `key` is the task's part."""
    known = [] if data is None else [data.test, data.target]
    if data is not None and data.references is not None:
        known.append(data.references)
    return Cell(
        method="",
        label="",
        task=task_name,
        cohort=cohort.name,
        seed=seed,
        preset=preset,
        kind=cohort.kind,
        cohort_key=cohort.key,
        key=digest(
            task_name, code_version(type(task)), seed, [scans.digest for scans in known], refusal
        ),
        parameters={} if data is None else data.parameters,
        skip=refusal,
    )


def _with_method(
    cell: Cell, variant: Variant, skip: str | None, fit: Fit | None, metrics: Sequence[Metric]
) -> Cell:
    name, method, config = variant.name, variant.method, variant.config
    fit_key = None if fit is None else fit.key
    measures = sorted((metric.name, code_version(type(metric))) for metric in metrics)
    return dataclasses.replace(
        cell,
        method=name,
        label=variant.label,
        key=digest("cell", cell.key, name, code_version(method), config, fit_key, measures, skip),
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
