"""A method under check: its fits and what it makes of scans, each computed once."""

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
from harmbench.contracts.fit_data import FitData
from harmbench.contracts.fit_progress import FitProgress
from harmbench.contracts.method import Method
from harmbench.contracts.needs import Needs
from harmbench.contracts.task_data import TaskData
from harmbench.data.cohort import Cohort
from harmbench.data.scans import Grid, Scans
from harmbench.errors import BlindnessError, UserError, one_line
from harmbench.execution.compute.runner import Runner
from harmbench.execution.plan.plan import Fit, PlannedCell
from harmbench.execution.plan.selection import Variant
from harmbench.plugins import Entry, Registry
from harmbench.store.stores import FitStore
from harmbench.testing.checks import NotApplicable
from harmbench.testing.tiny_cohort import SOURCES, TINY, tiny_cohort, without
from harmbench.util.progress import Progress, Silent
from harmbench.util.seeds import seeded

T = TypeVar("T")

SEED = 0
CPU = torch.device("cpu")
PAIRED_SOURCE = SOURCES[0]


class Killed(Exception):  # noqa: N818 - what a kill is within one process
    """The end of a fit in the middle of a step."""


class CountingProgress:
    """Progress that counts what it is told, and kills the fit at the n-th time."""

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
    """Return the settings to check with: of the preset `tiny`, of `quick`, or the defaults."""
    for preset in ("tiny", "quick"):
        if preset in model.presets:
            return model.presets[preset]
    return model.Config()


def method_data(cohort: Cohort, test: Cohort) -> TaskData:
    """Return what a task would choose: fit data of one cohort, test scans of another."""
    pairs = test.pairs(PAIRED_SOURCE, "test")
    assert pairs is not None
    here = PAIRED_SOURCE in cohort.sources
    return TaskData(
        target=cohort.scans(cohort.target, "train"),
        validation=cohort.scans(cohort.target, "validation"),
        test=pairs[0],
        references=pairs[1],
        source=cohort.scans(PAIRED_SOURCE, "train") if here else None,
        pairs=cohort.pairs(PAIRED_SOURCE, "train") if here else None,
    )


def reseed_global_rngs(seed: int) -> None:
    """Put the random streams that everybody shares somewhere else."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - the shared stream is what is meant
    torch.manual_seed(seed)


class MethodCandidate:
    """A method, with what the checks ask of it.

    Parameters
    ----------
    method
        Its class.
    entry
        As it is registered; None if the class was given.
    folder
        For its fits.
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
        """The settings that are checked with."""
        return tiny_preset(self.method)

    @cached_property
    def data(self) -> TaskData:
        """Data from which everything is withheld that the method is not entitled to."""
        whole = tiny_cohort()
        if self.method.needs in (Needs.NOTHING, Needs.TARGET):
            return method_data(without(*SOURCES, labels=False), whole)
        if self.method.needs is Needs.UNPAIRED:
            return method_data(without(labels=False, pairs=False), whole)
        return method_data(without(labels=False), whole)

    @cached_property
    def fit(self) -> Fit:
        """The fit that the checks are made with."""
        return Fit(
            self.name, self.method, self.config, "tiny", SEED, self.grid, self.data, "minmax",
            (), (),
        )  # fmt: skip

    def planned(self) -> PlannedCell:
        """Return a cell of the method, as the runner knows it."""
        cell = Cell(
            method=self.name, label=self.name, task="check", cohort="small", seed=SEED,
            preset="tiny", kind="phantom", cohort_key="", key="",
        )  # fmt: skip
        variant = Variant(self.name, self.method, self.config, self.name)
        fit = self.fit if self.method.learns() else None
        return PlannedCell(cell, variant, None, self.data, self.grid, fit)

    def runner(self, place: str, progress: Progress | None = None) -> Runner:
        """Return a runner with a store of its own."""
        return Runner(Registry(), self.folder / place, CPU, progress or Silent())

    def store(self, place: str) -> FitStore:
        """Return the fits of the runner of that name."""
        return self.runner(place).fits

    @cached_property
    def pulse(self) -> CountingProgress:
        """What the first fit told of its progress."""
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
        """What the fit ended with; None if it ended well."""
        return self._first[1]

    @cached_property
    def withheld_is_asked_for(self) -> str | None:
        """What the fit said of data that was withheld from it; None if that is not its fault."""
        if self.fault is None or not self.method.learns():
            return None
        if isinstance(self.fault, BlindnessError):
            return str(self.fault)
        whole = method_data(tiny_cohort(), tiny_cohort())
        data = FitData(whole.target, whole.validation, SEED, whole.source, whole.pairs)
        try:
            self.method(self.grid, self.config).fit(data, FitProgress())
        except Exception:
            return None
        return one_line(self.fault)

    @property
    def fitted(self) -> Method:
        """The method as it is after its fit, before it was stored and loaded."""
        method = self._first[0]
        if method is None:
            other = "needs" if self.withheld_is_asked_for else "fit"
            raise NotApplicable(f"it could not be fitted; see the check '{other}'")
        return method

    @cached_property
    def source(self) -> Scans:
        """Scans to harmonise, without labels: `(2, S, H, W)`."""
        self._first  # noqa: B018 - a fit that changes the data would show here
        return self.data.test.without_labels().load(range(len(self.data.test)))

    def given(self, scans: Scans) -> Scans:
        """Return a copy of scans as the runner hands them to the method."""
        truth = None
        if self.method.needs is Needs.TRUTH:
            assert self.data.references is not None
            order = [self.data.references.subjects.index(subject) for subject in scans.subjects]
            truth = self.data.references.load(order).images
        return dataclasses.replace(
            scans, images=scans.images.clone(), masks=scans.masks.clone(), truth=truth
        )

    def apply(self, method: Method, scans: Scans) -> Scans:
        """Harmonise scans as the runner does, without its checks."""
        with torch.no_grad(), seeded(SEED, "harmonize", *scans.subjects, *scans.sessions):
            return method.eval()(scans)

    @cached_property
    def _output(self) -> tuple[Scans | None, Exception | None]:
        method, given = self.fitted, self.given(self.source)
        began = time.perf_counter()
        try:
            return self.apply(method, given), None
        except Exception as error:
            return None, error
        finally:
            self.seconds["scan"] = (time.perf_counter() - began) / len(given)

    @property
    def output_fault(self) -> Exception | None:
        """What harmonising ended with; None if it ended well."""
        return self._output[1]

    @property
    def output(self) -> Scans:
        """What the method made of the scans."""
        made = self._output[0]
        if made is None:
            raise NotApplicable("it could not be applied; see the check 'harmonize'")
        return made

    @property
    def images(self) -> Tensor:
        """The images that it made: `(2, S, H, W)`."""
        made = self.output
        if not isinstance(made, Scans) or made.images.shape != self.source.images.shape:
            raise NotApplicable("what it returns has another form; see the check 'shape'")
        return made.images

    def again(self, place: str, progress: Progress | None = None) -> Method:
        """Return the method of a runner, fitted there or taken from its store."""
        return self.runner(place, progress).fitted(self.planned())

    @property
    def costs(self) -> str:
        """What it took, in a line."""
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
        """Build the method anew.

        Raises
        ------
        UserError
            If its settings do not fit the grid.
        """
        try:
            return self.method(self.grid, self.config)
        except UserError as error:
            raise UserError(
                f"'{self.name}' cannot be checked on a grid of {_times(self.grid)}: {error}; "
                "give it a preset 'tiny' that fits"
            ) from error


def peak_memory() -> str:
    """Tell the most memory that the process has had, by what was checked in it so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return f"{peak / 2**20:.0f} MiB of memory at most"


def _times(grid: Grid) -> str:
    return " x ".join(map(str, grid.shape))
