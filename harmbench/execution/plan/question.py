"""A question: one task on one cohort with one seed, before any method answers it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from harmbench.contracts.cell import Cell
from harmbench.contracts.family import Family
from harmbench.contracts.method import Method
from harmbench.contracts.model import Model
from harmbench.contracts.needs import Needs
from harmbench.contracts.task import Task
from harmbench.contracts.task_data import TaskData
from harmbench.data.cohort import Cohort
from harmbench.data.covariate_values import covariates_digest
from harmbench.data.scan_set import ScanSet
from harmbench.errors import SkipCell, one_line
from harmbench.execution.plan import settings
from harmbench.execution.plan.fit import Fit
from harmbench.execution.plan.selection import Selection, Variant
from harmbench.execution.plan.targets import TargetedTask
from harmbench.util.hashing import canonical, digest
from harmbench.util.source_code import code_version, module_code

# By name, since planning imports nothing that computes.
_HARMONIZING = "harmbench.execution.compute.apply"


@dataclass(frozen=True, kw_only=True)
class Question:
    """One task on one cohort, in one split or fold, with one seed.

    Attributes
    ----------
    chosen
        The registered task, and the target.
    task, data
        The task, and the data it chose; `data` is None if the task refused the cohort or failed.
    instruments
        Fits of the task's instruments, by the task's names for them.
    skip
        Why the task refused the cohort, or None.
    fault
        The error of the task's set-up, or None.
    seed, selection, cohort
        The other axes.
    """

    chosen: TargetedTask
    task: Task | None
    data: TaskData | None
    instruments: Mapping[str, Fit]
    skip: str | None
    fault: str | None
    seed: int
    selection: Selection = field(repr=False)
    cohort: Cohort = field(repr=False)

    @property
    def task_name(self) -> str:
        """The task's name as registered, without the target."""
        return self.chosen.entry.name

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Parameters that the task drew or recorded."""
        return {} if self.data is None else self.data.parameters

    @property
    def label(self) -> str:
        """The task's name with the changed settings of its instruments.

        Another instrument makes another question: numbers of the two share no column.
        """
        preset = self.selection.request.preset
        changed = {
            f"{fit.name}.{name}": value
            for fit in self.instruments.values()
            for name, value in settings.changes(fit.config, fit.model.preset(preset)).items()
        }
        return settings.label(self.chosen.label, changed)

    @cached_property
    def instrument_keys(self) -> dict[str, str]:
        """Keys of the instruments' fits."""
        return {title: fit.key for title, fit in self.instruments.items()}

    @property
    def _scan_sets(self) -> list[ScanSet]:
        if self.data is None:
            return []
        data = self.data
        shown = [scans for scans in (data.references, data.repeats) if scans is not None]
        return [data.test, data.target, *data.extra.values(), *shown]

    @cached_property
    def key(self) -> str:
        """Content hash of the task's definition, scans and instruments, without their code.

        Numbers of cells with the same key are comparable. Seeds share it unless the task draws
        its data by seed or measures with an instrument.
        """
        fits = self.instruments
        return digest(
            "question",
            self.task_name,
            getattr(self.task, "version", ""),
            self.cohort.split,
            [scans.digest for scans in self._scan_sets],
            {title: [fit.definition, fit.config] for title, fit in fits.items()},
            self.skip,
            *(() if self.cohort.target == self.selection.source.target else (self.cohort.target,)),
            *(() if self.cohort.fit_cohort is None else ("fits", self.cohort.fit_cohort.key)),
        )

    @cached_property
    def code(self) -> str:
        """Hash of the code on the task's side: of data, task, scoring and instruments."""
        return digest(
            self.cohort.code,
            *(() if self.cohort.fit_cohort is None else (self.cohort.fit_cohort.code,)),
            code_version(type(self.task)),
            module_code(_HARMONIZING),
            [scans.code for scans in self._scan_sets],
            self.instrument_keys,
        )

    @property
    def result_key(self) -> str:
        """Content hash of everything that numbers depend on, except method and metrics."""
        return digest(self.key, self.code, self.seed)

    def cell(
        self,
        variant: Variant,
        *,
        skip: str | None,
        fit: Fit | None,
        submission: Mapping[str, Any],
    ) -> Cell:
        """Return the cell in which a method answers.

        Parameters
        ----------
        variant
            The method and its settings.
        skip
            Why the method cannot answer, or None.
        fit
            The method's fit; None if it learns nothing or is skipped.
        submission
            What is recorded of a submission; empty for a method.
        """
        method, config = variant.method, variant.config
        fits = self.cohort.fit_cohort
        fit_key = None if fit is None else fit.key
        version = code_version(method)
        return Cell(
            method=variant.name,
            label=variant.label,
            task=self.label,
            cohort=self.cohort.name,
            seed=self.seed,
            preset=self.selection.request.preset,
            target=self.cohort.target,
            fit_cohort="" if fits is None else fits.name,
            fit_cohort_key="" if fits is None else fits.key,
            split=self.cohort.split,
            fold=self.cohort.fold,
            family=str(getattr(self.task, "family", Family.OTHER)),
            group=getattr(self.task, "group", "") or self.task_name,
            votes=getattr(self.task, "votes", True),
            kind=self.cohort.kind,
            cohort_key=self.cohort.key,
            key=digest(
                *("cell", self.result_key, variant.name, version, config, fit_key),
                *(skip, *self._known_of_test(method, skip)),
            ),
            needs=method.needs.value,
            covariates=list(method.covariates),
            code=digest(version),
            fit_key=fit_key,
            settings=canonical(config),
            parameters=self.parameters,
            control=method.control,
            skip=skip,
            question=self.key,
            normalization=self.cohort.normalization,
            instruments=self.instrument_keys,
            submission=submission,
        )

    def _known_of_test(self, method: type[Method], skip: str | None) -> tuple[str, ...]:
        """Return what a method receives with the test scans beside their images."""
        if self.data is None or skip is not None:
            return ()
        domain = (self.data.domain,) if method.needs is Needs.SITES else ()
        if not method.covariates:
            return domain
        table = self.data.test.with_covariates(method.covariates).covariates
        assert table is not None
        return (*domain, covariates_digest(table))

    def outputs_key(self, variant: Variant, fit: Fit | None) -> str:
        """Return the content hash of everything that a method's outputs depend on.

        Tasks that test the same scans have the same outputs of a method.

        Parameters
        ----------
        variant, fit
            The method with its settings, and its fit, as of `cell`.
        """
        method = variant.method
        return digest(
            "outputs",
            variant.name,
            code_version(method),
            variant.config,
            None if fit is None else fit.key,
            self.seed,
            self._test_scans,
            *self._known_of_test(method, None),
        )

    @cached_property
    def _test_scans(self) -> str:
        """Content hash of the images of the test scans, with all code that they depend on."""
        assert self.data is not None
        test = self.data.test
        code = (self.cohort.code, test.code, module_code(_HARMONIZING))
        # A shift may be put together of classes that only the task imports.
        shift = code_version(type(self.task)) if test.is_shifted else ""
        return digest(test.without_labels().digest, *code, shift)

    def fit_of(self, variant: Variant) -> Fit:
        """Return the fit of a method on the task's data.

        Raises
        ------
        SharedSubjectsError
            If the method receives scans of one subject of two domains, without pairs.
        BlindnessError
            If a part of the method declares a covariate that the method does not declare.
        """
        assert self.data is not None
        fit = _fit(
            self.selection,
            self.cohort,
            name=variant.name,
            model=variant.method,
            config=variant.config,
            seed=self.seed,
            data=self.data,
        )
        fit.key  # noqa: B018 - an error belongs to the plan, not to the computation
        return fit


def ask(
    chosen: TargetedTask,
    selection: Selection,
    cohort: Cohort,
    *,
    seed: int,
    sites: Mapping[str, ScanSet] | None = None,
) -> Question:
    """Set up a registered task on a cohort; a refusal or an error is part of the question.

    Parameters
    ----------
    chosen, selection, cohort, seed
        The task and the other axes; the target of the cohort is that of the task.
    sites
        The cohort's training scans by domain, for tasks that choose none of their own.
    """
    task, data, skip, fault = None, None, None, None
    instruments: dict[str, Fit] = {}
    try:
        task = chosen.entry.build()
        data = task.setup(cohort, seed)
        own_sites = data.sites is not None
        if not own_sites:
            data = dataclasses.replace(data, sites=sites)
        if cohort.fit_cohort is not None:
            data = _fitted_elsewhere(data, cohort, cohort.fit_cohort, own_sites=own_sites)
        for title, cls in task.instruments.items():
            preset = cls.preset(selection.request.preset)
            instruments[title] = _fit(
                selection,
                cohort,
                name=cls.name,
                model=cls,
                config=selection.instruments.get(cls.name, preset),
                seed=seed,
                data=data,
            )
    except SkipCell as reason:
        skip = str(reason)
    except Exception as error:
        # Most likely of a plugin's task: only its own cells fail.
        data, fault = None, f"the task's set-up failed: {one_line(error)}"
    return Question(
        chosen=chosen,
        task=task,
        data=data,
        instruments=instruments,
        skip=skip,
        fault=fault,
        seed=seed,
        selection=selection,
        cohort=cohort,
    )


def _fitted_elsewhere(data: TaskData, cohort: Cohort, fits: Cohort, *, own_sites: bool) -> TaskData:
    """Return the data of a task whose fits are on another cohort."""
    no_pairs = data.no_pairs
    if data.references is not None:
        no_pairs = f"fits are on cohort '{fits.name}', which has no pairs of '{data.domain}'"
    # A site of the fit cohort may have the name of a site here, and be another scanner.
    test_site = data.test_site if own_sites else f"{cohort.name}/{data.domain}"
    return dataclasses.replace(
        data, no_pairs=no_pairs, test_site=test_site, unknown_site=not own_sites
    )


def _fit(
    selection: Selection,
    cohort: Cohort,
    *,
    name: str,
    model: type[Model],
    config: Any,
    seed: int,
    data: TaskData,
) -> Fit:
    # With a fit cohort the fit is that of its own tasks.
    cohort = cohort.fit_cohort or cohort
    return Fit(
        name=name,
        model=model,
        config=config,
        preset=selection.request.preset,
        seed=seed,
        grid=selection.grid,
        data=data,
        split=cohort.split,
        fold=cohort.fold,
        data_code=cohort.code,
        normalization=cohort.normalization,
        standard=tuple(cohort.facts.get("standard", ())),
        prepared=selection.request.cohort.options.labels,
        voxel_sizes=cohort.voxel_sizes,
    )
