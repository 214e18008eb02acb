"""A method under check: its fits and its output, each computed once."""

from __future__ import annotations

import dataclasses
import random
import resource
import sys
import time
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from harmbench.contracts.cell import Cell
from harmbench.contracts.fit_progress import CHECKPOINT_SECONDS, FitProgress
from harmbench.contracts.method import Method
from harmbench.contracts.needs import Needs
from harmbench.contracts.task_data import TaskData
from harmbench.data.cohort import Cohort
from harmbench.data.disjoint import disjoint_subjects
from harmbench.data.scans import Grid, Scans
from harmbench.data.sites import training_sites
from harmbench.errors import BlindnessError, UserError, one_line
from harmbench.execution.compute.apply import beside_slices, received_by
from harmbench.execution.compute.invariants import absolute_difference
from harmbench.execution.compute.runner import Runner
from harmbench.execution.plan.fit import Fit
from harmbench.execution.plan.plan import PlannedCell
from harmbench.execution.plan.selection import Variant
from harmbench.plugins import Entry, Registry
from harmbench.store.stores import FitStore
from harmbench.testing.checks import NotApplicable
from harmbench.testing.tiny import SOURCES, TINY, poisoned, tiny_cohort, with_covariates, without
from harmbench.util.progress import Progress, Silent
from harmbench.util.seeds import seeded

T = TypeVar("T")

SEED = 0
CPU = torch.device("cpu")
PAIRED_SOURCE = SOURCES[0]


class Killed(Exception):  # noqa: N818 - simulates a kill within one process
    """Ends a fit in the middle of a step."""


class CountingProgress:
    """Progress that counts reports, and kills the fit at report number `last`."""

    def __init__(self, last: int | None = None) -> None:
        self.count, self._last = 0, last

    def _beat(self) -> None:
        self.count += 1
        if self.count == self._last:
            raise Killed

    def track(self, items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
        """Yield the items."""
        for item in items:
            yield item
            self._beat()

    def note(self, text: str) -> None:
        """Count."""
        self._beat()

    def log(self, text: str) -> None:
        """Show nothing."""


def tiny_preset(model: type[Any]) -> Any:
    """Return the settings for checks: preset `tiny`, else `quick`, else the defaults."""
    for preset in ("tiny", "quick"):
        if preset in model.presets:
            return model.presets[preset]
    return model.Config()


def method_data(cohort: Cohort, test: Cohort) -> TaskData:
    """Return data like a task's: fit data of one cohort, test scans of another."""
    pairs = test.pairs(PAIRED_SOURCE, "test")
    assert pairs is not None
    has_source = PAIRED_SOURCE in cohort.sources
    source, target = None, cohort.scans(cohort.target, "train")
    if has_source:
        source, target = disjoint_subjects(cohort.scans(PAIRED_SOURCE, "train"), target)
    return TaskData(
        target=target,
        validation=cohort.scans(cohort.target, "validation"),
        test=pairs[0],
        references=pairs[1],
        # Stand-ins for second scans: the control that returns them is checked on these.
        repeats=pairs[1],
        source=source,
        pairs=cohort.pairs(PAIRED_SOURCE, "train") if has_source else None,
        sites=training_sites(cohort) if has_source else None,
    )


def everything(cohort: Cohort) -> TaskData:
    """Return data of a cohort with all needs and all covariates."""
    names = list(cohort.covariates.columns)
    data = method_data(cohort, cohort)
    assert data.source is not None
    assert data.pairs is not None
    assert data.sites is not None
    return dataclasses.replace(
        data,
        target=data.target.with_covariates(names),
        validation=data.validation.with_covariates(names),
        source=data.source.with_covariates(names),
        pairs=(data.pairs[0].with_covariates(names), data.pairs[1].with_covariates(names)),
        sites={site: scans.with_covariates(names) for site, scans in data.sites.items()},
    )


def reseed_global_rngs(seed: int) -> None:
    """Reseed the global generators of Python, NumPy and torch."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - the global generator is meant
    torch.manual_seed(seed)


def max_difference(a: Tensor, b: Tensor) -> float:
    """Return the largest absolute difference; see `absolute_difference`."""
    return float(absolute_difference(a, b).max())


class MethodCandidate:
    """A method under check.

    Parameters
    ----------
    method
        Its class.
    entry
        Its registration; None if a class is checked.
    folder
        Folder for its fits.
    """

    def __init__(self, method: type[Method], entry: Entry | None, folder: Path) -> None:
        self.method = method
        self.entry = entry
        self.name = method.name if entry is None else entry.name
        self.folder = folder
        self.grid: Grid = TINY
        self.seconds: dict[str, float] = {}

    @cached_property
    def config(self) -> Any:
        """Settings that the method is checked with."""
        return tiny_preset(self.method)

    @property
    def _withheld(self) -> tuple[tuple[str, ...], bool]:
        """Domains that the method is not entitled to, and whether it is entitled to pairs."""
        blind = self.method.needs in (Needs.NOTHING, Needs.TARGET)
        paired = self.method.needs not in (Needs.UNPAIRED, Needs.SITES)
        return SOURCES if blind else (), paired

    @cached_property
    def data(self) -> TaskData:
        """Data that the method's needs entitle it to; everything else is withheld."""
        domains, pairs = self._withheld
        return self._data(without(*domains, labels=False, pairs=pairs))

    @cached_property
    def poisoned_data(self) -> TaskData:
        """The same data, in a cohort whose test images are NaN."""
        domains, pairs = self._withheld
        return self._data(poisoned(*domains, labels=False, pairs=pairs))

    def _data(self, cohort: Cohort) -> TaskData:
        """Return fit data of a cohort, and test scans, with the covariates of the method."""
        names = self.method.covariates
        return method_data(with_covariates(cohort, names), with_covariates(tiny_cohort(), names))

    @cached_property
    def fit(self) -> Fit:
        """The fit that is checked."""
        return Fit(
            name=self.name,
            model=self.method,
            config=self.config,
            preset="tiny",
            seed=SEED,
            grid=self.grid,
            data=self.data,
            data_code="",
            normalization="minmax",
            standard=(),
            prepared=(),
        )

    def planned(self, data: TaskData | None = None) -> PlannedCell:
        """Return a planned cell of the method, on its own data if None."""
        data = self.data if data is None else data
        cell = Cell(
            method=self.name,
            label=self.name,
            task="check",
            cohort="small",
            seed=SEED,
            preset="tiny",
            kind="phantom",
            cohort_key="",
            key="",
        )
        variant = Variant(name=self.name, method=self.method, config=self.config, label=self.name)
        fit = dataclasses.replace(self.fit, data=data) if self.method.learns() else None
        return PlannedCell(
            cell=cell, variant=variant, task=None, data=data, grid=self.grid, fit=fit
        )

    def runner(self, name: str, progress: Progress | None = None) -> Runner:
        """Return a runner with its own store, in the subfolder `name`."""
        return Runner(
            registry=Registry(), home=self.folder / name, device=CPU, progress=progress or Silent()
        )

    def store(self, name: str) -> FitStore:
        """Return the fits of the runner of that name."""
        return self.runner(name).fits

    @cached_property
    def pulse(self) -> CountingProgress:
        """Progress reports of the first fit."""
        return CountingProgress()

    @cached_property
    def _first(self) -> tuple[Method | None, Exception | None]:
        began = time.perf_counter()
        try:
            reseed_global_rngs(1)
            return self.runner("first", self.pulse).fitted(self.planned()), None
        except Exception as error:
            return None, error
        finally:
            self.seconds["fit"] = time.perf_counter() - began

    @property
    def fault(self) -> Exception | None:
        """Exception of the fit; None if it succeeded."""
        return self._first[1]

    @cached_property
    def withheld_data_error(self) -> str | None:
        """Error of a fit that fails only because data is withheld; None in all other cases."""
        if self.fault is None or not self.method.learns():
            return None
        if isinstance(self.fault, BlindnessError):
            return str(self.fault)
        data = everything(tiny_cohort()).fit_data(SEED)
        try:
            self.method(self.grid, self.config).fit(data, FitProgress())
        except Exception:
            return None
        return one_line(self.fault)

    @property
    def fitted(self) -> Method:
        """The fitted method, before it is stored and loaded."""
        method = self._first[0]
        if method is None:
            other = "needs" if self.withheld_data_error else "fit"
            raise NotApplicable(f"it could not be fitted; see the check '{other}'")
        return method

    @cached_property
    def source(self) -> Scans:
        """Scans to harmonise, without labels: `(2, S, H, W)`."""
        self._first  # noqa: B018 - loads after the fit, so that a fit that changes the data is noticed
        return self.data.test.without_labels().load(range(len(self.data.test)))

    def given(self, scans: Scans) -> Scans:
        """Return the scans that the method receives, with the target scans that a control needs."""
        shown = self.data.shown(self.method.needs)
        if shown is None:
            test = self.data.test
            order = [test.subjects.index(subject) for subject in scans.subjects]
            beside = beside_slices(self.fitted, test.subset(order), self.data.domain)
            return received_by(self.fitted, scans, None, SEED, CPU, beside)
        order = [shown.subjects.index(subject) for subject in scans.subjects]
        return received_by(self.fitted, scans, shown.load(order), SEED, CPU)

    def apply(self, method: Method, scans: Scans) -> Scans:
        """Harmonise scans like the runner, without its checks."""
        with torch.no_grad(), seeded(SEED, "harmonize", *scans.subjects, *scans.sessions):
            return method.eval()(scans)

    @cached_property
    def received(self) -> Scans:
        """The scans that the method receives in its first application: a copy of `source`."""
        return self.given(self.source)

    @cached_property
    def _output(self) -> tuple[Scans | None, Exception | None]:
        method, scans = self.fitted, self.received
        began = time.perf_counter()
        try:
            return self.apply(method, scans), None
        except Exception as error:
            return None, error
        finally:
            self.seconds["scan"] = (time.perf_counter() - began) / len(scans)

    @property
    def output_fault(self) -> Exception | None:
        """Exception of `forward`; None if it succeeded."""
        return self._output[1]

    @property
    def output(self) -> Scans:
        """The harmonised scans."""
        output = self._output[0]
        if output is None:
            raise NotApplicable("it could not be applied; see the check 'harmonize'")
        return output

    @property
    def images(self) -> Tensor:
        """The harmonised images: `(2, S, H, W)`."""
        output = self.output
        if not isinstance(output, Scans) or output.images.shape != self.source.images.shape:
            raise NotApplicable("its output has another shape; see the check 'shape'")
        return output.images

    def again(
        self,
        name: str,
        progress: Progress | None = None,
        *,
        checkpoint_seconds: float = CHECKPOINT_SECONDS,
        data: TaskData | None = None,
    ) -> Method:
        """Return the method of the runner of that name, fitted now or taken from its store."""
        runner = self.runner(name, progress)
        runner = dataclasses.replace(runner, checkpoint_seconds=checkpoint_seconds)
        return runner.fitted(self.planned(data))

    @property
    def costs(self) -> str:
        """Time, memory and size, in one line."""
        method = self._first[0]
        parts = []
        if "fit" in self.seconds and self.method.learns():
            parts.append(f"fit {self.seconds['fit']:.2f} s")
        if "scan" in self.seconds:
            parts.append(f"{self.seconds['scan']:.3f} s a scan of {_times(self.grid)}")
        if method is not None:
            count = sum(tensor.numel() for tensor in method.parameters())
            size = sum(t.numel() * t.element_size() for t in method.state_dict().values())
            parts.append(f"{count:,} parameters, {size / 2**20:.2f} MiB of state")
            parts.append(peak_memory())
        return ", ".join(parts)

    def built(self) -> Method:
        """Build a new, unfitted instance.

        Raises
        ------
        UserError
            If its settings do not suit the grid.
        """
        try:
            return self.method(self.grid, self.config)
        except UserError as error:
            raise UserError(
                f"'{self.name}' cannot be checked on a grid of {_times(self.grid)}: {error}; "
                "add a preset 'tiny' that suits it"
            ) from error


def peak_memory() -> str:
    """Return the peak memory of this process, including earlier checks."""
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return f"{peak / 2**20:.0f} MiB of peak memory"


def _times(grid: Grid) -> str:
    return " x ".join(map(str, grid.shape))
