"""Computing cells: fit or load, harmonise, score, store, and tell the hooks."""

from __future__ import annotations

import io
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from harmbench.errors import DivergedError
from harmbench.figures import Keyframes
from harmbench.hashing import canonical
from harmbench.method import Method, n_parameters
from harmbench.metrics.aggregate import estimates
from harmbench.plugins import Registry
from harmbench.progress import CurvePoint, FitProgress, Progress
from harmbench.run import device as devices
from harmbench.run.apply import harmonized_by
from harmbench.run.cell import CellResult, Status
from harmbench.run.plan import Fit, Job, Plan
from harmbench.run.store import CellStore, FitStore
from harmbench.seeds import seeded
from harmbench.task import Task, TaskData


@dataclass
class Known:
    """What is known of a cell so far, whatever becomes of it.

    Attributes
    ----------
    facts
        Times in seconds, sizes and provenance, as JSON types.
    curves
        What the fit recorded by step.
    """

    facts: dict[str, Any]
    curves: Sequence[CurvePoint] = ()


@dataclass(frozen=True)
class Runner:
    """Computes the jobs of a plan, one after the other.

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
        """The store of fitted methods."""
        return FitStore(self.home / "fits")

    @property
    def cells(self) -> CellStore:
        """The store of finished cells."""
        return CellStore(self.home / "cells")

    def planned(self, job: Job) -> Status:
        """Say what running the job would come to, without running it."""
        if job.cell.skip is not None:
            return Status.SKIPPED
        if job.fault is not None:
            return Status.FAILED
        return Status.CACHED if self.cells.load(job.cell.key) else Status.PLANNED

    def fitted(self, job: Job) -> Method:
        """Return a job's method on the device, fitted now or taken from the store."""
        return self._fitted(job, Known({}))

    def run(self, plan: Plan) -> Iterator[tuple[Job, CellResult]]:
        """Run all jobs; one that fails or diverges costs only itself."""
        for job in plan.jobs:
            result = self._run(job, plan)
            self.registry.call("after_cell", cell=job.cell, result=result)
            yield job, result

    def _run(self, job: Job, plan: Plan) -> CellResult:
        cell = job.cell
        if cell.skip is not None:
            return CellResult(Status.SKIPPED, cell.skip)
        if job.fault is not None:
            return CellResult(Status.FAILED, job.fault)
        with self.cells.lock(cell.key):
            stored = self.cells.load(cell.key)
            if stored is not None:
                return stored
            self.registry.call("before_cell", cell=cell)
            assert job.data is not None
            assert job.task is not None
            known = Known({"device": devices.describe(self.device)})
            try:
                return self._compute(job, job.task, job.data, plan, known)
            except DivergedError as error:
                return CellResult(
                    Status.DIVERGED, str(error), facts=known.facts, curves=known.curves
                )
            except Exception as error:
                reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
                known.facts["traceback"] = traceback.format_exc()
                return CellResult(Status.FAILED, reason, facts=known.facts, curves=known.curves)

    def _compute(
        self, job: Job, task: Task, data: TaskData, plan: Plan, known: Known
    ) -> CellResult:
        cell = job.cell
        method = self._fitted(job, known)
        keyframes = Keyframes(cell)
        frames: list[pd.DataFrame] = []
        size = devices.scans_per_batch(self.device)
        seconds = 0.0
        for start in self.progress.track(range(0, len(data.test), size), cell.title):
            places = range(start, min(start + size, len(data.test)))
            source = data.test.load(places)
            truth = None if data.references is None else data.references.load(places)
            began = time.perf_counter()
            harmonized = harmonized_by(method, source, truth, cell.seed, self.device)
            seconds += time.perf_counter() - began
            frames.append(task.score(harmonized, truth, data, plan.metrics))
            keyframes.add(source, harmonized, truth)
        scores = pd.concat(frames, ignore_index=True)
        known.facts |= {
            "harmonize_seconds_per_scan": seconds / max(1, len(data.test)),
            "lower_is_better": [m.name for m in plan.metrics if not m.higher_is_better],
            "test_scans": len(data.test),
            "test_people": len(set(data.test.people)),
        }
        picture = io.BytesIO()
        keyframes.figure(scores, data).savefig(picture, dpi=110)
        result = CellResult(
            Status.DONE,
            scores=scores,
            estimates=estimates(scores),
            facts=known.facts,
            fit_cached=bool(known.facts["fit_cached"]),
            curves=known.curves,
        )
        return self.cells.save(cell, result, picture.getvalue())

    def _fitted(self, job: Job, known: Known) -> Method:
        """Return the fitted method on the device, from the store where it is there."""
        if job.fit is None:
            known.facts |= {"fit_seconds": 0.0, "fit_cached": False, "n_parameters": 0}
            with seeded(job.cell.seed, "initialise", job.cell.method):
                return job.method(job.grid, job.config).to(self.device)
        return self._obtain(job.fit, known)

    def _obtain(self, fit: Fit, known: Known) -> Method:
        """Load a fit, or fit and store it; `known` is told its facts and curves."""
        method = self._build(fit)
        with self.fits.lock(fit.key):
            stored = self.fits.load(fit.key, method)
            if stored is None:
                if self.fits.has(fit.key):
                    # It is damaged, and may have been loaded in part: start from a fresh one.
                    method = self._build(fit)
                description, curves = self._fit(fit, method, known)
                self.fits.save(fit.key, method, description, curves)
            else:
                description, curves = stored
                self.fits.drop_checkpoints(fit.key)  # of a process that was killed in storing it
            known.curves = curves
            known.facts |= _facts(description) | {"fit_cached": stored is not None}
        return method.eval()

    def _fit(
        self, fit: Fit, method: Method, known: Known
    ) -> tuple[dict[str, Any], Sequence[CurvePoint]]:
        """Fit a fresh method, from its checkpoint on if an earlier process left one.

        Returns
        -------
        tuple
            What is to be stored beside its state, and its curves.
        """
        # The cost of a method is that of all it is built on, whoever paid for it.
        seconds, curves = 0.0, []
        for attribute, part in fit.parts.items():
            its = Known({})
            try:
                getattr(method, attribute).load_state_dict(self._obtain(part, its).state_dict())
            finally:
                curves += [point._replace(name=f"{attribute}.{point.name}") for point in its.curves]
                known.curves = tuple(curves)
            seconds += its.facts["fit_seconds"]
        fit_data = fit.fit_data
        progress = FitProgress(self.progress, self.fits.checkpoints(fit.key))
        try:
            with seeded(fit.seed, "fit", fit.name):
                method.train()
                method.fit(fit_data, progress)
            method.eval()
            if not all(bool(value.isfinite().all()) for value in method.state_dict().values()):
                raise DivergedError("the fit ended with values that are not finite")
        except DivergedError:
            # It would only run away again from where it was last saved.
            self.fits.drop_checkpoints(fit.key)
            raise
        finally:
            known.curves = (*curves, *progress.curves)
            taken = {
                "seconds": seconds + progress.seconds,
                "n_parameters": n_parameters(method),
                "facts": progress.facts,
            }
            known.facts |= _facts(taken)
        return {
            "method": fit.name,
            "version": method.version,
            "preset": fit.preset,
            "settings": canonical(fit.config),
            "seed": fit.seed,
            "grid": canonical(fit.grid),
            "domain": fit_data.target.domain,
            "people": sorted(set(fit_data.target.people)),
            "data": fit_data.digest,
            "normalization": fit.normalization,
            "standard": fit.standard,
            "device": devices.describe(self.device),
            **taken,
        }, known.curves

    def _build(self, fit: Fit) -> Method:
        with seeded(fit.seed, "initialise", fit.name):
            return fit.method(fit.grid, fit.config).to(self.device)


def _facts(description: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a cell tells of its fit."""
    facts = {f"fit_{name}": value for name, value in description["facts"].items()}
    return facts | {
        "fit_seconds": description["seconds"],
        "n_parameters": description["n_parameters"],
    }
