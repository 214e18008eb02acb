"""A fit: a model with its settings, data and seed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from harmbench.contracts.fit_data import FitData
from harmbench.contracts.model import Model, fit_settings
from harmbench.contracts.needs import Needs
from harmbench.contracts.task_data import TaskData
from harmbench.data.scans import Grid
from harmbench.util.hashing import digest
from harmbench.util.source_code import code_version, module_code

# By name, since planning imports nothing that computes.
_FITTER = "harmbench.execution.compute.fitter"


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A model to be fitted, with everything that the result depends on.

    Attributes
    ----------
    name, model, config
        The model's name, its class and its settings.
    preset, seed, grid
        As of the cell.
    data
        Data that a task chose; the model receives the part that it is entitled to.
    data_code
        Hash of the code that prepared the cohort.
    normalization, standard, prepared
        How the cohort's intensities were normalised, the learnt standard or `()`, and further
        preparation of its scans (`PrepareOptions.labels`). Needed to harmonise other scans; not
        part of the key, since the data's digest covers them.
    users
        The models that are built on this one. It receives no more data than they do, or a blind
        method would see the source through it.
    split, fold
        As of the cell; not part of the key, since the data's digest covers them.
    voxel_sizes
        Voxel size in mm of each scan as it was acquired, by domain, subject and session, as far
        as it is recorded. Stored with the fit for comparison with other scans.
    """

    name: str
    model: type[Model]
    config: Any
    preset: str
    seed: int
    grid: Grid
    data: TaskData = field(repr=False)
    data_code: str = field(repr=False)
    normalization: str
    standard: tuple[float, ...]
    prepared: tuple[str, ...]
    users: tuple[type[Model], ...] = ()
    split: str = "test"
    fold: int = 0
    voxel_sizes: Mapping[tuple[str, str, str], Sequence[float]] = field(
        default_factory=dict, repr=False
    )

    @property
    def title(self) -> str:
        """The fit in a few words."""
        fold = f", fold {self.fold}" if self.fold else ""
        needs = getattr(self.model, "needs", None)
        sites = " on all sites" if needs is Needs.SITES else ""
        names = getattr(self.model, "covariates", ())
        covariates = f" with {', '.join(names)}" if names else ""
        return f"fit of {self.name}{sites}{covariates}, seed {self.seed}{fold}"

    @property
    def fit_data(self) -> FitData:
        """The data that the model receives."""
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
    def definition(self) -> str:
        """Content hash of model, settings and data, without the code."""
        return digest(
            "fit",
            self.name,
            self.model.version,
            self.preset,
            fit_settings(self.config),
            self.fit_data.digest,
            self.seed,
            self.grid,
            {attribute: part.definition for attribute, part in self.parts.items()},
        )

    @cached_property
    def key(self) -> str:
        """Content hash of everything the result depends on; the same for every user of a fit."""
        return digest(
            self.definition,
            code_version(self.model),
            module_code(_FITTER),
            self.fit_data.code,
            self.data_code,
            {attribute: part.key for attribute, part in self.parts.items()},
        )
