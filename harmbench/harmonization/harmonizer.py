"""A fitted method with everything needed to apply it to a scan."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from harmbench.contracts.method import Method
from harmbench.contracts.needs import Needs
from harmbench.data.prepare_options import MINMAX, PrepareOptions, default_normalization
from harmbench.data.scans import GRIDS, Grid
from harmbench.errors import UserError
from harmbench.execution.compute.fitted import (
    build,
    class_of_fit,
    config_of_fit,
    find_fit,
    load_fitted,
)
from harmbench.execution.compute.runner import Runner
from harmbench.execution.plan import settings
from harmbench.execution.plan.plan import PlannedCell, make_plan
from harmbench.execution.plan.request import Request
from harmbench.execution.plan.selection import Selection, select
from harmbench.harmonization.scan_covariates import FittedCovariate, fitted_covariates
from harmbench.plugins import Registry
from harmbench.preprocessing.normalization import normalization
from harmbench.preprocessing.version import PREPROCESSING_VERSION
from harmbench.util.hashing import canonical, digest
from harmbench.util.progress import Progress
from harmbench.util.source_code import code_version

# Increase whenever the same scan and fit would give a different file.
VERSION = 2


@dataclass(frozen=True, kw_only=True)
class HarmonizeContext:
    """What a harmonizer is built from and where it runs.

    Attributes
    ----------
    registry, plugins
        All plugins, and the single files among them, which other processes load too.
    home
        Folder of the stores.
    device
        Device that methods run on.
    """

    registry: Registry
    plugins: tuple[Path, ...]
    home: Path
    device: str


@dataclass(frozen=True, kw_only=True)
class Harmonizer:
    """A serialisable description of a fitted method: any process can build and apply it.

    Attributes
    ----------
    method, code, preset, seed, grid
        As in the fit; `code` identifies the method's version.
    settings
        The complete config, as JSON.
    fit
        Key of the fit in the store; None for a method that learns nothing.
    target
        The target domain; None where it is not known.
    split, fold
        Of the fit, as in `Cell`.
    task, cohort
        The task and cohort that selected the fit, or None.
    normalization, standard
        How the fit's scans were normalised, and the learnt standard or `()`.
    prepared
        Further preparation of the fit's scans (`PrepareOptions.labels`), repeated on each scan.
    site
        The domain of the scan for a method on all sites: that of the task; else None.
    covariates
        The covariates of the fit, for a method that declares some.
    plugins
        Single-file plugins that may define the method.
    home
        Folder of the stores.
    device
        Device that the method runs on.
    """

    method: str
    code: str
    preset: str
    seed: int
    grid: Grid
    settings: str
    fit: str | None
    target: str | None
    task: str | None
    cohort: str | None
    normalization: str
    standard: tuple[float, ...]
    prepared: tuple[str, ...]
    split: str = "test"
    fold: int = 0
    site: str | None = None
    covariates: tuple[FittedCovariate, ...] = ()
    plugins: tuple[Path, ...]
    home: Path
    device: str

    @property
    def key(self) -> str:
        """Content hash of everything that the harmonised scan depends on, except the scan."""
        return digest(
            "harmonizer",
            VERSION,
            PREPROCESSING_VERSION,
            self.method,
            self.code,
            json.loads(self.settings),
            self.fit,
            self.seed,
            self.grid,
            self.site,
            normalization(self.normalization).key(self.standard),
        )

    @property
    def title(self) -> str:
        """Method and target domain, for messages."""
        return self.method + (f" to '{self.target}'" if self.target else "")

    @property
    def record(self) -> dict[str, Any]:
        """The record stored with every harmonised file, as JSON types."""
        return {
            "Method": self.method,
            "MethodVersion": self.code,
            "Settings": json.loads(self.settings),
            "Preset": self.preset,
            "Seed": self.seed,
            "Fit": self.fit,
            "TargetDomain": self.target,
            "SourceDomain": self.site,
            "Task": self.task,
            "Cohort": self.cohort,
            "Split": self.split,
            "Fold": self.fold,
            "Normalization": self.normalization,
            "Grid": canonical(self.grid),
        }

    def prepare_options(self, brain_extraction: str) -> PrepareOptions:
        """Return options that prepare a scan like those of the fit.

        Parameters
        ----------
        brain_extraction
            Tool for scans that still have their heads, as in `PrepareOptions`.
        """
        return PrepareOptions(
            brain_extraction, heads="heads" in self.prepared, n4="n4" in self.prepared
        )

    def build(self) -> Method:
        """Build the method, load its fit, and move it to the device.

        Raises
        ------
        UserError
            If the fit is missing from the store, or damaged.
        """
        return _built(self)


@lru_cache(maxsize=1)
def _built(harmonizer: Harmonizer) -> Method:
    registry = Registry.discover(harmonizer.plugins, home=harmonizer.home)
    cls: type[Method] = registry.entry("methods", harmonizer.method).load()
    values = json.loads(harmonizer.settings)
    preset = cls.preset(harmonizer.preset)
    config = settings.change(harmonizer.method, preset, values, "fit of")
    if harmonizer.fit is not None:
        return load_fitted(
            harmonizer.fit,
            home=harmonizer.home,
            plugins=harmonizer.plugins,
            device=harmonizer.device,
            config=config,
        )
    return build(
        cls,
        name=harmonizer.method,
        grid=harmonizer.grid,
        config=config,
        seed=harmonizer.seed,
        device=harmonizer.device,
    ).eval()


def from_fit(context: HarmonizeContext, prefix: str, assignments: Sequence[str] = ()) -> Harmonizer:
    """Return the harmonizer of a stored fit.

    Parameters
    ----------
    context
        Plugins, stores and device.
    prefix
        Beginning of the fit's key.
    assignments
        `method.field=value` for settings that act at inference only; fits are shared between
        values of such settings. All others are as in the preset.

    Raises
    ------
    UserError
        If no fit or several fits match, or the method has changed since the fit.
    """
    key, fit = find_fit(context.home, prefix)
    cls = class_of_fit(context.registry, key, fit)
    if cls.needs is Needs.SITES:
        raise UserError(
            f"the fit {key} is of all sites: give --method and --task, which names the scan's site"
        )
    if cls.covariates:
        raise UserError(
            f"the fit {key} uses the covariates {', '.join(cls.covariates)}: give --method, --task "
            "and --cohort, which defines their categories"
        )
    return _harmonizer(
        context,
        fit["method"],
        cls,
        config_of_fit(key, fit, cls, assignments),
        preset=fit["preset"],
        seed=fit["seed"],
        grid=Grid.of(fit["grid"]),
        fit=key,
        target=fit["domain"],
        task=None,
        cohort=None,
        # Older fits do not record these.
        split=fit.get("split", "test"),
        fold=fit.get("fold", 0),
        normalization=fit.get("normalization", MINMAX),
        standard=tuple(fit.get("standard", ())),
        prepared=tuple(fit.get("prepared", ())),
    )


def from_request(context: HarmonizeContext, request: Request, progress: Progress) -> Harmonizer:
    """Return the harmonizer of a method, as a cell would use it; fit it if necessary.

    The fit is that of the request's split, never one of a fold of a cross-validation.

    Parameters
    ----------
    context
        Plugins, stores and device.
    request
        One method and, if it learns, one task; one seed.
    progress
        Shows how far the fit is.

    Raises
    ------
    UserError
        If the request is not for one cell, or the method cannot harmonise scans without truth.
    """
    check_request(context, request)
    (name,) = request.methods
    cls: type[Method] = context.registry.entry("methods", name).load()
    if not cls.learns():
        return _unfitted(context, name, cls, request)
    planned = _one_cell(context, request, progress)
    fit, cell = planned.fit, planned.cell
    if cell.skip is not None or fit is None:
        raise UserError(f"no fit of {cell.title}: {cell.skip or planned.fault}")
    device = torch.device(context.device)
    Runner(registry=context.registry, home=context.home, device=device, progress=progress).fitted(
        planned
    )
    return _harmonizer(
        context,
        name,
        cls,
        planned.config,
        preset=request.preset,
        seed=request.seeds[0],
        grid=planned.grid,
        fit=fit.key,
        target=fit.fit_data.target.domain,
        task=request.tasks[0],
        cohort=cell.cohort,
        site=planned.data.domain if planned.data and cls.needs is Needs.SITES else None,
        covariates=fitted_covariates(fit.fit_data.target),
        normalization=fit.normalization,
        standard=fit.standard,
        prepared=request.cohort.options.labels,
    )


def declared_covariates(context: HarmonizeContext, request: Request) -> tuple[str, ...]:
    """Return the covariates that the method of a request declares."""
    (name,) = request.methods
    cls: type[Method] = context.registry.entry("methods", name).load()
    return tuple(cls.covariates)


def check_request(context: HarmonizeContext, request: Request) -> None:
    """Check the names and options of a request, before any scan is read or made.

    Raises
    ------
    UserError
        If a name is unknown, the request is not for one cell, or the method cannot harmonise
        scans without truth.
    """
    (name,) = request.methods
    cls: type[Method] = context.registry.entry("methods", name).load()
    if cls.needs.control_only:
        raise UserError(
            f"'{name}' is a control: it returns target scans of test subjects, and a scan of yours "
            "has none; choose another method"
        )
    if not cls.learns():
        return
    if not request.tasks:
        raise UserError(f"'{name}' needs a fit: --task is missing, or give --fit")
    _one_selection(context, request)


def _one_selection(context: HarmonizeContext, request: Request) -> Selection:
    selection = select(context.registry, request)
    if len(selection.variants) * len(selection.tasks) != 1:
        raise UserError("a scan is harmonised by one method and one task; give their full names")
    return selection


def _one_cell(context: HarmonizeContext, request: Request, progress: Progress) -> PlannedCell:
    selection = _one_selection(context, request)
    (planned,) = make_plan(context.registry, selection, context.home, progress).cells
    return planned


def _unfitted(
    context: HarmonizeContext, name: str, cls: type[Method], request: Request
) -> Harmonizer:
    """Return the harmonizer of a method that learns nothing; no cohort is opened."""
    if request.preset not in GRIDS:
        raise UserError.unknown("preset", request.preset, GRIDS)
    chosen = request.cohort.normalization or default_normalization(request.preset)
    if normalization(chosen).learns:
        raise UserError(
            f"'{name}' has no fit to take the standard of the normalisation '{chosen}' from"
        )
    values = settings.parse(request.assignments).get(name, {})
    return _harmonizer(
        context,
        name,
        cls,
        settings.apply(name, cls.preset(request.preset), values),
        preset=request.preset,
        seed=request.seeds[0],
        grid=GRIDS[request.preset],
        fit=None,
        target=None,
        task=None,
        cohort=None,
        normalization=chosen,
        standard=(),
        prepared=request.cohort.options.labels,
    )


def _harmonizer(
    context: HarmonizeContext, name: str, cls: type[Method], config: Any, **fields: Any
) -> Harmonizer:
    return Harmonizer(
        method=name,
        code=code_version(cls),
        settings=json.dumps(canonical(config)),
        plugins=context.plugins,
        home=context.home,
        device=context.device,
        **fields,
    )
