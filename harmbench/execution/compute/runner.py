"""Computing fits and cells: fit or load, harmonise, score, store."""

from __future__ import annotations

import dataclasses
import io
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from harmbench.contracts.cell import Cell, CellResult, Status
from harmbench.contracts.fit_progress import CurvePoint, FitProgress
from harmbench.contracts.instrument import Instrument
from harmbench.contracts.method import Method
from harmbench.contracts.metric import Metric
from harmbench.contracts.model import Model, n_parameters
from harmbench.contracts.scorer import ScoringContext
from harmbench.contracts.task import Task
from harmbench.contracts.task_data import TaskData
from harmbench.data.scans import Scans
from harmbench.errors import DivergedError
from harmbench.execution.compute.apply import harmonized_by
from harmbench.execution.compute.job_result import JobResult
from harmbench.execution.compute.keyframes import Keyframes
from harmbench.execution.compute.slices import Slices
from harmbench.execution.plan.fit import Fit
from harmbench.execution.plan.plan import PlannedCell
from harmbench.plugins import Registry
from harmbench.store.stores import BoundsStore, CellStore, FitStore, HeldError, to_json
from harmbench.util import device as devices
from harmbench.util import memory
from harmbench.util.hashing import canonical
from harmbench.util.progress import Progress
from harmbench.util.seeds import seeded


@dataclass
class CellFacts:
    """What is known of a cell so far, whatever becomes of it.

    Attributes
    ----------
    facts
        Times in seconds, sizes and provenance, as JSON types.
    curves
        What the fit recorded by step.
    harmonizing
        Seconds that the method itself took.
    """

    facts: dict[str, Any]
    curves: Sequence[CurvePoint] = ()
    harmonizing: float = 0.0

    def flag(self, harmonized: Scans) -> None:
        """Keep what the method warns of, by "subject/session"."""
        for subject, session, flag in zip(
            harmonized.subjects, harmonized.sessions, harmonized.flags or (), strict=False
        ):
            if flag:
                self.facts.setdefault("flags", {})[f"{subject}/{session}"] = flag


@dataclass(frozen=True)
class Runner:
    """Computes fits and cells, in this process and on one device.

    Attributes
    ----------
    registry
        For the hooks around each cell.
    home
        Folder of the stores.
    device
        Where methods are fitted and applied.
    progress
        What is shown meanwhile.
    """

    registry: Registry
    home: Path
    device: torch.device
    progress: Progress

    @property
    def fits(self) -> FitStore:
        """The store of fitted methods and instruments."""
        return FitStore(self.home / "fits")

    @property
    def cells(self) -> CellStore:
        """The store of finished cells."""
        return CellStore(self.home / "cells")

    @property
    def bounds(self) -> BoundsStore:
        """The store of what scores are seen against."""
        return BoundsStore(self.home / "bounds")

    def with_progress(self, progress: Progress) -> Runner:
        """Return the same runner, which shows its progress elsewhere."""
        return dataclasses.replace(self, progress=progress)

    def foreseen(self, planned: PlannedCell) -> CellResult | None:
        """Return the result that a job has without being computed, or None."""
        if planned.cell.skip is not None:
            return CellResult(Status.SKIPPED, planned.cell.skip)
        if planned.fault is not None:
            return CellResult(Status.FAILED, planned.fault)
        return self.cells.load(planned.cell.key)

    def fitted(self, planned: PlannedCell) -> Method:
        """Return a job's method on the device, fitted now or taken from the store."""
        return self._fitted(planned, CellFacts({}))

    def make(self, fit: Fit, *, wait: bool = True) -> JobResult:
        """Make a fit and store it, unless it is there.

        Parameters
        ----------
        fit
            What to fit.
        wait
            Whether to wait for another process that is at it; if not, the outcome is `PLANNED`.
        """

        def job(known: CellFacts) -> JobResult:
            made = self._obtain(fit, known, wait=wait)[1]
            return JobResult(Status.DONE if made else Status.CACHED)

        return self._guarded(job)

    def compute(
        self, planned: PlannedCell, metrics: Sequence[Metric], *, wait: bool = True
    ) -> JobResult:
        """Compute a cell and store it, unless it is there; fits that it lacks are made.

        Parameters
        ----------
        planned
            One that is neither skipped nor at fault.
        metrics
            What it may be scored by.
        wait
            As of `make`.
        """

        def job(known: CellFacts) -> JobResult:
            with self.cells.lock(planned.cell.key, wait=wait):
                stored = self.cells.load(planned.cell.key)
                if stored is not None:
                    return JobResult(Status.CACHED, result=stored)
                self.registry.call("before_cell", cell=planned.cell)
                assert planned.data is not None
                assert planned.task is not None
                result = self._compute(planned, planned.task, planned.data, metrics, known)
                return JobResult(Status.DONE, result=result)

        return self._guarded(job)

    def _guarded(self, job: Callable[[CellFacts], JobResult]) -> JobResult:
        """Do a work; whatever goes wrong in it is its outcome."""
        known = CellFacts({"device": devices.describe(self.device)})
        try:
            return job(known)
        except HeldError:
            return JobResult(Status.PLANNED)
        except DivergedError as error:
            return JobResult(Status.DIVERGED, str(error), known.facts, known.curves)
        except Exception as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            known.facts["traceback"] = traceback.format_exc()
            return JobResult(Status.FAILED, reason, known.facts, known.curves)

    def _compute(
        self,
        planned: PlannedCell,
        task: Task,
        data: TaskData,
        metrics: Sequence[Metric],
        known: CellFacts,
    ) -> CellResult:
        cell = planned.cell
        context = ScoringContext(
            data,
            metrics,
            self._instruments(planned, known),
            self.device,
            cell.seed,
            cell.preset,
            self.progress,
        )
        bounds = self._bounds(planned, task, context)
        method = self._fitted(planned, known)
        scorer = task.scorer(context)
        keyframes = Keyframes(cell)
        slices = Slices()
        size, began = devices.scans_per_batch(self.device), time.perf_counter()
        with devices.watched(self.device) as gpu:
            for start in self.progress.track(range(0, len(data.test), size), cell.title):
                places = range(start, min(start + size, len(data.test)))
                for source, harmonized, truth in self._harmonized(
                    method, data, places, cell, known
                ):
                    known.flag(harmonized)
                    scorer.add(source, harmonized, truth)
                    keyframes.add(source, harmonized, truth)
                    slices.add(source, harmonized, truth)
        scores = scorer.table()
        higher = {metric.name: metric.higher_is_better for metric in metrics} | dict(task.measures)
        known.facts |= gpu | {
            "harmonize_seconds_per_scan": known.harmonizing / max(1, len(data.test)),
            "cell_seconds": time.perf_counter() - began,
            "lower_is_better": [name for name, better in higher.items() if not better],
            "headline": list(task.headline),
            "bounds": bounds,
            "test_scans": len(data.test),
            "test_people": len(set(data.test.subjects)),
        }
        picture = io.BytesIO()
        keyframes.figure(scores, data, task.headline, scorer.annotated).savefig(picture, dpi=110)
        result = CellResult(
            Status.DONE,
            scores=scores,
            estimates=scorer.estimates(scores),
            facts=known.facts,
            curves=known.curves,
        )
        return self.cells.save(cell, result, picture.getvalue(), slices.arrays(data.target))

    def _harmonized(
        self, method: Method, data: TaskData, places: range, cell: Cell, known: CellFacts
    ) -> Iterator[tuple[Scans, Scans, Scans | None]]:
        """Yield source scans, the harmonised ones and their truth: all, or parts if memory ends."""
        while places:
            part = places[: known.facts.get("scans_at_once", len(places))]
            source = data.test.load(part)
            truth = None if data.references is None else data.references.load(part)
            began = time.perf_counter()
            try:
                harmonized = harmonized_by(method, source, truth, cell.seed, self.device)
            except Exception as error:
                if not memory.ran_out(error) or len(part) == 1:
                    raise
                known.facts["scans_at_once"] = len(part) // 2
            else:
                known.harmonizing += time.perf_counter() - began
                yield source, harmonized, truth
                places = places[len(part) :]
                continue
            # Here, where the error and all that it holds on to are gone.
            memory.release(self.device)
            self.progress.log(
                f"{cell.title}: out of memory; goes on with {len(part) // 2} scans at once"
            )

    def _fitted(self, planned: PlannedCell, known: CellFacts) -> Method:
        """Return the fitted method on the device, from the store where it is there."""
        if planned.fit is None:
            known.facts |= {"fit_seconds": 0.0, "n_parameters": 0}
            with seeded(planned.cell.seed, "initialise", planned.cell.method):
                return planned.method(planned.grid, planned.config).to(self.device)
        method, _ = self._obtain(planned.fit, known)
        assert isinstance(method, Method)
        return method

    def _instruments(self, planned: PlannedCell, known: CellFacts) -> dict[str, Instrument]:
        """Return the task's instruments on the device; what they cost is told by itself."""
        found: dict[str, Instrument] = {}
        for title, fit in planned.instruments.items():
            its = CellFacts({})
            instrument, _ = self._obtain(fit, its)
            assert isinstance(instrument, Instrument)
            found[title] = instrument
            known.facts.setdefault("instruments", {})[title] = {
                "name": fit.name,
                "fit": fit.key,
                **its.facts,
            }
        return found

    def _bounds(self, planned: PlannedCell, task: Task, context: ScoringContext) -> dict[str, Any]:
        """Return the task's bounds as JSON types, computed once for all its cells."""
        with self.bounds.lock(planned.bounds_key):
            bounds = self.bounds.load(planned.bounds_key)
            if bounds is None:
                with seeded(context.seed, "bounds", task.name):
                    found = task.bounds(context)
                bounds = {title: to_json(numbers) for title, numbers in found.items()}
                self.bounds.save(planned.bounds_key, bounds)
        return bounds

    def _obtain(self, fit: Fit, known: CellFacts, *, wait: bool = True) -> tuple[Model, bool]:
        """Load a fit, or fit and store it; `known` is told its facts and curves.

        Returns
        -------
        tuple
            The model on the device, and whether it was fitted now.
        """
        model = self._build(fit)
        with self.fits.lock(fit.key, wait=wait):
            stored = self.fits.load(fit.key, model)
            if stored is None:
                if self.fits.has(fit.key):
                    # It is damaged, and may have been loaded in part: start from a fresh one.
                    model = self._build(fit)
                description, curves = self._fit(fit, model, known)
                self.fits.save(fit.key, model, description, curves)
            else:
                description, curves = stored
                self.fits.drop_checkpoints(fit.key)  # of a process that was killed in storing it
            known.curves = curves
            known.facts |= _facts(description)
        return model.eval(), stored is None

    def _fit(
        self, fit: Fit, model: Model, known: CellFacts
    ) -> tuple[dict[str, Any], Sequence[CurvePoint]]:
        """Fit a fresh model, from its checkpoint on if an earlier process left one.

        Returns
        -------
        tuple
            What is to be stored beside its state, and its curves.
        """
        # The cost of a model is that of all it is built on, whoever paid for it.
        seconds, curves = 0.0, []
        for attribute, part in fit.parts.items():
            its = CellFacts({})
            try:
                getattr(model, attribute).load_state_dict(self._obtain(part, its)[0].state_dict())
            finally:
                curves += [point._replace(name=f"{attribute}.{point.name}") for point in its.curves]
                known.curves = tuple(curves)
            seconds += its.facts["fit_seconds"]
        fit_data = fit.fit_data
        progress = FitProgress(self.progress, self.fits.checkpoints(fit.key))
        try:
            with seeded(fit.seed, "fit", fit.name):
                model.train()
                model.fit(fit_data, progress)
            model.eval()
            if not all(bool(value.isfinite().all()) for value in model.state_dict().values()):
                raise DivergedError("the fit ended with values that are not finite")
        except DivergedError:
            # It would only run away again from where it was last saved.
            self.fits.drop_checkpoints(fit.key)
            raise
        finally:
            known.curves = (*curves, *progress.curves)
            taken = {
                "seconds": seconds + progress.seconds,
                "own_seconds": progress.seconds,
                "n_parameters": n_parameters(model),
                "facts": progress.facts,
            }
            known.facts |= _facts(taken)
        return {
            "method": fit.name,
            "kind": "instrument" if isinstance(model, Instrument) else "method",
            "version": model.version,
            "preset": fit.preset,
            "settings": canonical(fit.config),
            "seed": fit.seed,
            "grid": canonical(fit.grid),
            "domain": fit_data.target.domain,
            "people": sorted(set(fit_data.target.subjects)),
            "data": fit_data.digest,
            "normalization": fit.normalization,
            "standard": fit.standard,
            "prepared": fit.prepared,
            "device": devices.describe(self.device),
            **taken,
        }, known.curves

    def _build(self, fit: Fit) -> Model:
        with seeded(fit.seed, "initialise", fit.name):
            return fit.model(fit.grid, fit.config).to(self.device)


def _facts(description: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a cell tells of its fit."""
    facts = {f"fit_{name}": value for name, value in description["facts"].items()}
    return facts | {
        "fit_seconds": description["seconds"],
        "n_parameters": description["n_parameters"],
    }
