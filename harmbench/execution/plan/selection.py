"""Looking up the names of a request: methods, tasks, cohort and settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harmbench.cohorts.address import parse_cohort
from harmbench.contracts.instrument import Instrument
from harmbench.contracts.method import Method
from harmbench.contracts.model import fit_settings
from harmbench.contracts.published import BASELINE
from harmbench.data.cohort import Cohort
from harmbench.data.cohort_request import CohortRequest
from harmbench.data.cohort_source import CohortSource
from harmbench.data.prepare_options import default_normalization
from harmbench.data.scans import GRIDS, Grid
from harmbench.data.split_file import read_split_file, with_split_file
from harmbench.errors import UserError
from harmbench.execution.plan import settings
from harmbench.execution.plan.fit_cohort import check_preparation, check_request, learns
from harmbench.execution.plan.request import Request
from harmbench.execution.plan.targets import (
    TargetedTask,
    chosen_tasks,
    requested_targets,
    targeted_tasks,
)
from harmbench.external.submission import Submission
from harmbench.external.submission_request import SubmissionRequest
from harmbench.external.submitted_volume import SubmissionRow
from harmbench.plugins import Entry, Registry, matching
from harmbench.util.progress import Progress


@dataclass(frozen=True, kw_only=True)
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
    submission
        The images of a submission; None for a method.
    """

    name: str
    method: type[Method]
    config: Any
    label: str
    title: str = BASELINE
    submission: Submission | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What the names of a request stand for, before any data is touched.

    Attributes
    ----------
    variants
        Methods under their settings.
    tasks
        The tasks, each with its target, by label.
    source, grid
        Where scans come from, and what they lie on.
    fit_source
        Where the scans of all fits come from; None for `source`.
    request
        What was asked for.
    instruments
        Settings of the tasks' instruments that the request changes, by the instrument's name.
    """

    variants: tuple[Variant, ...]
    tasks: Mapping[str, TargetedTask]
    source: CohortSource
    grid: Grid
    request: Request = field(repr=False)
    instruments: Mapping[str, Any] = field(default_factory=dict)
    fit_source: CohortSource | None = None

    def is_prepared(self, home: Path) -> bool:
        """Whether the cohort, and the fit cohort, were prepared before."""
        sources = [source for source in (self.source, self.fit_source) if source is not None]
        paths = (Cohort.path(source, self.grid, home) for source in sources)
        return all((path / "cohort.json").exists() for path in paths)


def open_cohort(
    source: CohortSource,
    request: CohortRequest,
    grid: Grid,
    home: Path,
    progress: Progress,
    *,
    retry: bool = False,
) -> Cohort:
    """Return a requested cohort with the splits of its split file; prepare it if necessary.

    Parameters
    ----------
    source, request
        The source, and the request that it is of.
    grid, home, progress, retry
        As in `Cohort.open`.

    Raises
    ------
    UserError
        If the cohort cannot be prepared, or the split file is wrong.
    """
    if request.split_file is None:
        return Cohort.open(source, grid, home, progress, retry=retry)
    # Read first: preparing may take hours.
    file = read_split_file(request.split_file)
    return with_split_file(Cohort.open(source, grid, home, progress, retry=retry), file)


def open_source(registry: Registry, request: CohortRequest, preset: str) -> CohortSource:
    """Return the source of a requested cohort.

    Without a choice, scans are normalised as is usual for the preset, or if the source cannot do
    that, by the source's first normalisation.

    Raises
    ------
    UserError
        If there is no such source, or it cannot be prepared this way.
    """
    name, argument = parse_cohort(request.name)
    entry = registry.entry("cohorts", name)
    cls = entry.load()
    if not (isinstance(cls, type) and issubclass(cls, CohortSource)):
        raise UserError(f"the plugin registers '{name}' as a cohort; it is no CohortSource")
    default = default_normalization(preset)
    if default not in cls.normalizations:
        default = cls.normalizations[0]
    source: CohortSource = entry.build(
        argument,
        request.recipe,
        normalization=request.normalization or default,
        prepare_options=request.options,
    )
    source.default_normalization = default
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
    if request.folds and request.split != "test":
        raise UserError(
            f"--folds {request.folds} tests every subject, and --split {request.split} leaves "
            "test subjects out: use --split test with --folds"
        )
    check_request(request)
    # Names before data: a typing error is reported at once, whatever the state of the data.
    method_entries = registry.entries("methods")
    names = matching("method", request.methods, method_entries)
    assignments = settings.parse(request.assignments)
    for name in assignments:
        if name in method_entries and name not in names:
            raise UserError(f"--set {name}: the method '{name}' is not among those to run")
    source = open_source(registry, request.cohort, request.preset)
    fit_source = _fit_source(registry, request, source)
    tasks = _tasks(registry, request, source)
    instruments = _instruments(tasks.values()) if assignments.keys() - names else {}
    for name in assignments:
        if name not in names and name not in instruments:
            raise UserError.unknown("method", name, {**method_entries, **instruments})
    variants: list[Variant] = []
    for name in names:
        try:
            method_variants = _variants(method_entries[name], request, assignments.get(name, {}))
            _try_on(method_variants, grid)
        except UserError as error:
            if name in request.methods or name in assignments:
                raise
            registry.report(f"method '{name}' is left out: {error}")
        else:
            variants += method_variants
    if request.submission is not None:
        variants.append(_submitted(request.submission, method_entries))
    changed = {
        name: settings.apply(name, instruments[name].preset(request.preset), values)
        for name, values in assignments.items()
        if name not in names
    }
    return Selection(
        variants=tuple(variants),
        tasks=tasks,
        source=source,
        grid=grid,
        request=request,
        instruments=changed,
        fit_source=fit_source,
    )


def _fit_source(registry: Registry, request: Request, source: CohortSource) -> CohortSource | None:
    if request.fit_cohort is None:
        return None
    fit_source = open_source(registry, request.fit_cohort, request.preset)
    check_preparation(source, fit_source)
    return fit_source


def _tasks(registry: Registry, request: Request, source: CohortSource) -> dict[str, TargetedTask]:
    targets = requested_targets(source, request.targets)
    if targets != (source.target,) and learns(source.normalization):
        raise UserError(
            f"--target: the normalisation '{source.normalization}' learns from the target "
            f"'{source.target}'; choose another --normalize, or leave out --target"
        )
    return chosen_tasks(request.tasks, targeted_tasks(registry, source, targets))


def _instruments(tasks: Iterable[TargetedTask]) -> dict[str, type[Instrument]]:
    """Return the instruments of tasks, by their own names."""
    instruments = {}
    for task in tasks:
        try:
            classes = task.entry.load().instruments.values()
        except Exception:
            continue  # `make_plan` reports the error
        instruments.update({cls.name: cls for cls in classes})
    return instruments


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
        Variant(
            name=name,
            method=method,
            config=config,
            label=settings.label(name, settings.changes(config, preset)),
            title=title,
        )
        for title, config in configs.items()
    ]


def _submitted(request: SubmissionRequest, methods: Mapping[str, Entry]) -> Variant:
    """Return the row of a submission; its settings are those of each task's images."""
    if request.name in methods:
        raise UserError(
            f"--name {request.name}: a method has this name; choose another name for the images"
        )
    return Variant(
        name=request.name,
        method=SubmissionRow,
        config=SubmissionRow.Config(),
        label=request.name,
        submission=Submission(request),
    )


def _try_on(variants: Sequence[Variant], grid: Grid) -> None:
    """Build every model once, so that settings that do not suit the grid are reported.

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
