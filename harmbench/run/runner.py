"""Computing cells: fit or load, harmonise, score, store, and tell the hooks."""

from __future__ import annotations

import dataclasses
import io
import time
import traceback
from collections.abc import Iterator
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
from harmbench.needs import Needs
from harmbench.plugins import Registry
from harmbench.progress import Progress
from harmbench.run import device as devices
from harmbench.run.cell import CellResult, Status
from harmbench.run.plan import Job, Plan
from harmbench.run.store import CellStore, FitStore
from harmbench.scans import Scans
from harmbench.seeds import seeded
from harmbench.task import Task, TaskData


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
        return Status.CACHED if self.cells.load(job.cell.key) else Status.PLANNED

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
            try:
                return self._compute(job, job.task, job.data, plan)
            except DivergedError as error:
                return CellResult(Status.DIVERGED, str(error), facts={"device": str(self.device)})
            except Exception as error:
                reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
                return CellResult(
                    Status.FAILED, reason, facts={"traceback": traceback.format_exc()}
                )

    def _compute(self, job: Job, task: Task, data: TaskData, plan: Plan) -> CellResult:
        cell = job.cell
        method, facts = self._fitted(job, data)
        keyframes = Keyframes(cell)
        frames: list[pd.DataFrame] = []
        size = devices.scans_per_batch(self.device)
        seconds = 0.0
        for start in self.progress.track(range(0, len(data.test), size), cell.title):
            places = range(start, min(start + size, len(data.test)))
            source = data.test.load(places)
            truth = None if data.references is None else data.references.load(places)
            began = time.perf_counter()
            harmonized = self._harmonize(method, source, truth, cell.seed)
            seconds += time.perf_counter() - began
            frames.append(task.score(harmonized, truth, data, plan.metrics))
            keyframes.add(source, harmonized, truth)
        scores = pd.concat(frames, ignore_index=True)
        facts |= {
            "harmonize_seconds_per_scan": seconds / max(1, len(data.test)),
            "lower_is_better": [m.name for m in plan.metrics if not m.higher_is_better],
            "test_scans": len(data.test),
            "test_people": len(set(data.test.people)),
            "device": devices.describe(self.device),
        }
        picture = io.BytesIO()
        keyframes.figure(scores, data).savefig(picture, dpi=110)
        result = CellResult(
            Status.DONE,
            scores=scores,
            estimates=estimates(scores),
            facts=facts,
            fit_cached=bool(facts["fit_cached"]),
        )
        return self.cells.save(cell, result, picture.getvalue())

    def _fitted(self, job: Job, data: TaskData) -> tuple[Method, dict[str, Any]]:
        """Return the fitted method on the device, from the store where it is there."""
        cell = job.cell
        method = self._build(job)
        if cell.fit_key is None:
            return method, {"fit_seconds": 0.0, "fit_cached": False, "n_parameters": 0}
        with self.fits.lock(cell.fit_key):
            description = self.fits.load(cell.fit_key, method)
            if description is not None:
                return method.eval(), {
                    "fit_seconds": description["seconds"],
                    "fit_cached": True,
                    "n_parameters": description["n_parameters"],
                }
            if self.fits.has(cell.fit_key):
                # It is damaged, and may have been loaded in part: start from a fresh one.
                method = self._build(job)
            fit_data = data.fit_data(cell.seed).restricted(method.needs)
            began = time.perf_counter()
            with seeded(cell.seed, "fit", cell.method):
                method.train()
                method.fit(fit_data, self.progress)
            method.eval()
            seconds = time.perf_counter() - began
            if not all(bool(value.isfinite().all()) for value in method.state_dict().values()):
                raise DivergedError("the fit ended with values that are not finite")
            self.fits.save(
                cell.fit_key,
                method,
                {
                    "method": cell.method,
                    "version": method.version,
                    "preset": cell.preset,
                    "settings": cell.settings,
                    "seed": cell.seed,
                    "grid": canonical(job.grid),
                    "domain": fit_data.target.domain,
                    "people": sorted(set(fit_data.target.people)),
                    "data": fit_data.digest,
                    "seconds": seconds,
                    "n_parameters": n_parameters(method),
                    "device": devices.describe(self.device),
                },
            )
        return method, {
            "fit_seconds": seconds,
            "fit_cached": False,
            "n_parameters": n_parameters(method),
        }

    def _build(self, job: Job) -> Method:
        with seeded(job.cell.seed, "initialise", job.cell.method):
            return job.method(job.grid, job.config).to(self.device)

    def _harmonize(self, method: Method, source: Scans, truth: Scans | None, seed: int) -> Scans:
        """Harmonise a batch, and hold the method to its contract."""
        given = dataclasses.replace(source, labels=None).to(self.device)
        if method.needs is Needs.TRUTH:
            assert truth is not None
            given = dataclasses.replace(given, truth=truth.images.to(self.device))
        with torch.no_grad(), seeded(seed, "harmonize", *source.people, *source.sessions):
            images = method.eval()(given).images.float().cpu()
        if images.shape != source.images.shape:
            raise ValueError(
                f"the output has shape {tuple(images.shape)}, "
                f"the input {tuple(source.images.shape)}"
            )
        if not bool(images.isfinite().all()):
            raise DivergedError("the output has values that are not finite")
        low, high = float(images.min()), float(images.max())
        if low < -1e-6 or high > 1 + 1e-6:
            raise ValueError(f"the output must lie in [0, 1], and spans [{low:.4g}, {high:.4g}]")
        return source.with_images(images.clamp(0, 1))
