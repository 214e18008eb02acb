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
from harmbench.data.preparing import DEFAULT_PREPARING, Preparing
from harmbench.errors import SkipCell, UserError
from harmbench.hashing import canonical, digest
from harmbench.instrument import Instrument
from harmbench.method import Method
from harmbench.metrics.base import Metric
from harmbench.model import FitData, Model, fit_settings
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
        Texts of the form `name.field=value`, the name a method's or a task's instrument's.
    ablations
        Whether the ablations that the methods name are asked for, too.
    normalize
        Name of how the scans' intensities are normalised.
    preparing
        How volumes are prepared.
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
    preparing: Preparing = DEFAULT_PREPARING


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

    jobs: tuple[Job, ...]
    metrics: tuple[Metric, ...]
    cohort: Cohort


@dataclass(frozen=True)
class Selection:
    """What the names of a request stand for, before any data is touched.

    Attributes
    ----------
    variants
        Methods under their settings.
    tasks
        The tasks, by name.
    source, grid
        Where scans come from, and what they lie on.
    request
        What was asked for.
    instruments
        Settings of the tasks' instruments that the request changes, by the instrument's name.
    """

    variants: tuple[Variant, ...]
    tasks: Mapping[str, Entry]
    source: CohortSource
    grid: Grid
    request: Request = field(repr=False)
    instruments: Mapping[str, Any] = field(default_factory=dict)

    def is_prepared(self, home: Path) -> bool:
        """Whether the cohort was prepared before."""
        return (Cohort.path(self.source, self.grid, home) / "cohort.json").exists()


def open_source(
    registry: Registry,
    cohort: str,
    recipe: Path | None,
    normalize: str = DEFAULT_NORMALIZATION,
    preparing: Preparing = DEFAULT_PREPARING,
) -> CohortSource:
    """Return the cohort source for `NAME`, `NAME:ARGUMENT` or `FILE.csv`.

    Raises
    ------
    UserError
        If there is no such source, or it cannot be prepared so.
    """
    name, argument = parse_cohort(cohort)
    source = registry.entry("cohorts", name).build(argument, recipe)
    if not isinstance(source, CohortSource):
        raise UserError(f"what is registered as the cohort '{name}' is no CohortSource")
    if normalize not in source.normalizations:
        raise UserError.unknown(
            f"normalisation of the cohort '{name}'", normalize, source.normalizations
        )
    if preparing.labels and not source.from_volumes:
        raise UserError(
            f"the cohort '{name}' is not prepared from volumes: leave out --no-brain-mask and --n4"
        )
    source.normalization = normalize
    source.preparing = preparing
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
        if name in method_entries and name not in names:
            raise UserError(f"--set {name}: the method '{name}' is not among those to run")
    source = open_source(
        registry, request.cohort, request.recipe, request.normalize, request.preparing
    )
    task_entries = registry.entries("tasks", source.sources)
    tasks = {name: task_entries[name] for name in matching("task", request.tasks, task_entries)}
    instruments = _instruments(tasks) if assignments.keys() - names else {}
    for name in assignments:
        if name not in names and name not in instruments:
            raise UserError.unknown("method", name, {**method_entries, **instruments})
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
    changed = {
        name: settings.apply(name, instruments[name].preset(request.preset), values)
        for name, values in assignments.items()
        if name not in names
    }
    return Selection(tuple(variants), tasks, source, grid, request, changed)


def _instruments(tasks: Mapping[str, Entry]) -> dict[str, type[Instrument]]:
    """Return the instruments of tasks, by their own names."""
    found = {}
    for entry in tasks.values():
        try:
            kinds = entry.load().instruments.values()
        except Exception:
            continue  # make_plan tells of it
        found.update({kind.name: kind for kind in kinds})
    return found


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
    measures = sorted((metric.name, code_version(type(metric))) for metric in metrics)
    jobs = []
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
                jobs.append(
                    Job(
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
    return Plan(tuple(jobs), metrics, cohort)


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
        selection.request.preparing.labels,
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
