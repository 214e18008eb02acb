"""A task under check: its data and scores, each computed once."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from harmbench.contracts.cell import Cell
from harmbench.contracts.instrument import Instrument
from harmbench.contracts.method import Method
from harmbench.contracts.metric import Metric
from harmbench.contracts.needs import Needs
from harmbench.contracts.scorer import Scorer, ScoringContext
from harmbench.contracts.task import Task
from harmbench.contracts.task_data import TaskData
from harmbench.data.scans import Scans
from harmbench.errors import SkipCell
from harmbench.execution.compute.runner import Runner
from harmbench.execution.plan.fit import Fit
from harmbench.execution.plan.plan import PlannedCell
from harmbench.execution.plan.selection import Variant
from harmbench.plugins import Entry, Registry
from harmbench.statistics.estimate import Estimate
from harmbench.testing.checks import NotApplicable
from harmbench.testing.method_candidate import (
    CPU,
    SEED,
    peak_memory,
    reseed_global_rngs,
    tiny_preset,
)
from harmbench.testing.tiny import tiny_cohort
from harmbench.util.progress import Silent
from harmbench.util.seeds import seeded


class Unchanged(Method):
    """Returns scans unchanged; the checks of tasks score it as the floor."""

    name = "unchanged"
    summary = "returns scans unchanged"
    needs = Needs.NOTHING

    def forward(self, scans: Scans) -> Scans:
        """Return a copy of the N scans."""
        return scans.with_images(scans.images.clone())


class TaskCandidate:
    """A task under check.

    Parameters
    ----------
    build
        Returns a new instance of the task.
    entry
        Its registration; None if a class is checked.
    folder
        Folder for the fits of its instruments.
    metrics
        All registered metrics.
    """

    def __init__(
        self, build: Callable[[], Task], entry: Entry | None, folder: Path, metrics: list[Metric]
    ) -> None:
        self.build = build
        self.entry = entry
        self.folder = folder
        self.metrics = metrics
        self.cohort = tiny_cohort()
        self.seconds: dict[str, float] = {}

    @cached_property
    def task(self) -> Task:
        """The task."""
        return self.build()

    @property
    def name(self) -> str:
        """Name on the command line."""
        return self.task.name if self.entry is None else self.entry.name

    @cached_property
    def _set_up(self) -> tuple[TaskData | None, Exception | None]:
        began = time.perf_counter()
        try:
            reseed_global_rngs(1)
            return self.task.setup(self.cohort, SEED), None
        except Exception as error:
            return None, error
        finally:
            self.seconds["set-up"] = time.perf_counter() - began

    @property
    def fault(self) -> Exception | None:
        """Exception of the set-up; None if it succeeded."""
        return self._set_up[1]

    @property
    def data(self) -> TaskData:
        """The data that the task selects from the tiny cohort."""
        data = self._set_up[0]
        if data is None:
            if isinstance(self.fault, SkipCell):
                raise NotApplicable(f"it skips the tiny cohort: {self.fault}")
            raise NotApplicable("it could not be set up; see the check 'setup'")
        if not len(data.test):
            raise NotApplicable("it has no test scans; see the check 'setup'")
        return data

    @property
    def n_tested(self) -> int:
        """Number of its test scans."""
        data = self._set_up[0]
        return 0 if data is None else len(data.test)

    def _fit(self, cls: type[Instrument]) -> Fit:
        return Fit(
            name=cls.name,
            model=cls,
            config=tiny_preset(cls),
            preset="tiny",
            seed=SEED,
            grid=self.cohort.grid,
            data=self.data,
            data_code="",
            normalization="minmax",
            standard=(),
            prepared=(),
        )

    @cached_property
    def runner(self) -> Runner:
        """Runner with its own store."""
        return Runner(registry=Registry(), home=self.folder, device=CPU, progress=Silent())

    @cached_property
    def instruments(self) -> dict[str, Instrument]:
        """The task's fitted instruments, by title."""
        instruments = {}
        for title, cls in self.task.instruments.items():
            fit = self._fit(cls)
            result = self.runner.make(fit)
            instrument = cls(self.cohort.grid, fit.config)
            if self.runner.fits.load(fit.key, instrument) is None:
                raise RuntimeError(f"the instrument '{title}': {result.reason}")
            instruments[title] = instrument.eval()
        return instruments

    @cached_property
    def context(self) -> ScoringContext:
        """Context that a cell is scored in."""
        return ScoringContext(
            data=self.data,
            metrics=self.metrics,
            instruments=self.instruments,
            device=CPU,
            seed=SEED,
            preset="tiny",
            progress=Silent(),
        )

    def planned(self) -> PlannedCell:
        """Return the planned cell of the method `Unchanged`."""
        cell = Cell(
            method=Unchanged.name,
            label=Unchanged.name,
            task=self.name,
            cohort="small",
            seed=SEED,
            preset="tiny",
            kind="phantom",
            cohort_key=self.cohort.key,
            key="checked",
        )
        fits = {title: self._fit(cls) for title, cls in self.task.instruments.items()}
        variant = Variant(
            name=Unchanged.name, method=Unchanged, config=Unchanged.Config(), label=Unchanged.name
        )
        return PlannedCell(
            cell=cell,
            variant=variant,
            task=self.task,
            data=self.data,
            grid=self.cohort.grid,
            instruments=fits,
            result_key="candidate",
        )

    def batch(self, indices: range, *, truth: bool) -> tuple[Scans, Scans, Scans | None]:
        """Return source scans, scans to score (source or truth), and references."""
        data = self.data
        source = data.test.load(indices)
        references = None if data.references is None else data.references.load(indices)
        images = references.images if truth and references is not None else source.images
        return source, dataclasses.replace(source, images=images.clone()), references

    def scorer(self, size: int, *, truth: bool = False) -> Scorer:
        """Return a scorer of the unchanged test scans, or of their truth, added in batches."""
        scorer = self.task.scorer(self.context)
        for start in range(0, len(self.data.test), size):
            indices = range(start, min(start + size, len(self.data.test)))
            scorer.add(*self.batch(indices, truth=truth))
        return scorer

    def scored(self, size: int, *, truth: bool = False) -> pd.DataFrame:
        """Score the unchanged test scans, or their truth, in batches of `size`."""
        with seeded(SEED, "score"):
            return self.scorer(size, truth=truth).table()

    @cached_property
    def _scores(self) -> tuple[Scorer | None, pd.DataFrame | None, Exception | None]:
        self.data  # noqa: B018 - skips the check if there is no data
        began = time.perf_counter()
        try:
            with seeded(SEED, "score"):
                scorer = self.scorer(1)
                return scorer, scorer.table(), None
        except Exception as error:
            return None, None, error
        finally:
            self.seconds["score"] = (time.perf_counter() - began) / max(1, len(self.data.test))

    @property
    def score_fault(self) -> Exception | None:
        """Exception of scoring; None if it succeeded."""
        return self._scores[2]

    @property
    def table(self) -> pd.DataFrame:
        """Scores of the unchanged scans."""
        table = self._scores[1]
        if table is None:
            raise NotApplicable("it could not be scored; see the check 'score'")
        return table

    @property
    def estimates(self) -> dict[str, Estimate]:
        """Estimates of the unchanged scans."""
        scorer = self._scores[0]
        assert scorer is not None
        return scorer.estimates(self.table)

    @cached_property
    def directions(self) -> dict[str, bool]:
        """Whether higher is better, by metric."""
        directions: dict[str, Any] = {
            metric.name: metric.higher_is_better for metric in self.metrics
        }
        return directions | dict(self.task.measures)

    @property
    def costs(self) -> str:
        """Time and memory, in one line."""
        parts = []
        if "set-up" in self.seconds:
            parts.append(f"set-up {self.seconds['set-up']:.2f} s")
        if "score" in self.seconds:
            parts.append(f"scoring {self.seconds['score']:.3f} s a scan")
            parts.append(peak_memory())
        return ", ".join(parts)
