"""Computing fits and cells: fit or load, harmonise, score, store."""

from __future__ import annotations

import dataclasses
import shutil
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from harmbench.contracts.cell import CellResult, Status
from harmbench.contracts.fit_progress import CHECKPOINT_SECONDS
from harmbench.contracts.instrument import Instrument
from harmbench.contracts.method import Method
from harmbench.contracts.metric import Metric
from harmbench.contracts.scorer import ScoringContext
from harmbench.errors import DivergedError
from harmbench.execution.compute.cell_facts import CellFacts
from harmbench.execution.compute.fitted import build
from harmbench.execution.compute.fitter import Fitter
from harmbench.execution.compute.job_result import JobResult
from harmbench.execution.compute.kept_outputs import KeptOutputs
from harmbench.execution.compute.scoring import score_cell, task_bounds
from harmbench.execution.plan.fit import Fit
from harmbench.execution.plan.plan import PlannedCell
from harmbench.plugins import Registry
from harmbench.store.folder_store import HeldError
from harmbench.store.stores import BoundsStore, CellStore, FitStore
from harmbench.util import device as devices
from harmbench.util.progress import Progress


@dataclass(frozen=True, kw_only=True)
class Runner:
    """Computes fits and cells, in this process and on one device.

    Attributes
    ----------
    registry
        For the hooks around each cell.
    home
        Folder of the stores.
    device
        Device that methods are fitted and applied on.
    progress
        Where progress is shown.
    checkpoint_seconds
        Seconds between the checkpoints of a fit.
    """

    registry: Registry
    home: Path
    device: torch.device
    progress: Progress
    checkpoint_seconds: float = CHECKPOINT_SECONDS

    @property
    def fits(self) -> FitStore:
        """The store of fitted methods and instruments."""
        return FitStore(self.home / "fits")

    @property
    def cells(self) -> CellStore:
        """The store of finished cells."""
        return CellStore(self.home / "cells")

    @property
    def fitter(self) -> Fitter:
        """The fitter of this device and store."""
        return Fitter(
            store=self.fits,
            device=self.device,
            progress=self.progress,
            checkpoint_seconds=self.checkpoint_seconds,
        )

    def with_progress(self, progress: Progress) -> Runner:
        """Return the same runner, which shows its progress elsewhere."""
        return dataclasses.replace(self, progress=progress)

    def foreseen(self, planned: PlannedCell) -> CellResult | None:
        """Return the result that a cell has without being computed, or None."""
        if planned.cell.skip is not None:
            return CellResult(status=Status.SKIPPED, reason=planned.cell.skip)
        if planned.fault is not None:
            return CellResult(status=Status.FAILED, reason=planned.fault)
        stored = self._stored(planned)
        return None if stored is None or planned.missing_metrics(stored) else stored

    def _stored(self, planned: PlannedCell) -> CellResult | None:
        """Return a stored result of all test scans, or None."""
        stored = self.cells.load(planned.cell.key)
        return None if stored is None or stored.missing else stored

    def fitted(self, planned: PlannedCell) -> Method:
        """Return a cell's method on the device, fitted now or loaded from the store."""
        return self._method(planned, CellFacts())

    def make(self, fit: Fit, *, wait: bool = True) -> JobResult:
        """Make a fit and store it, unless it is stored already.

        Parameters
        ----------
        fit
            The fit.
        wait
            Whether to wait for another process that makes it; if not, the result is `PLANNED`.
        """

        def action(facts: CellFacts) -> JobResult:
            _, fitted_now = self.fitter.obtain(fit, facts, wait=wait)
            return JobResult(status=Status.DONE if fitted_now else Status.CACHED)

        return self._guarded(action)

    def compute(
        self,
        planned: PlannedCell,
        metrics: Sequence[Metric],
        *,
        wait: bool = True,
        shares: bool = False,
    ) -> JobResult:
        """Compute a cell and store it; missing fits are made.

        A stored cell is not computed again, except its scores of metrics that it lacks or that
        other code computed.

        Parameters
        ----------
        planned
            A cell that is neither skipped nor at fault.
        metrics
            Metrics that it may be scored by.
        wait
            As of `make`.
        shares
            Whether to use and to keep outputs for other cells with the same `outputs_key`. The
            caller must `release` them after the last of these cells.
        """
        # Outputs of a GPU and of a CPU differ by more than the repeat check allows.
        shared = self._outputs(planned.outputs_key) / self.device.type if shares else None
        outputs = KeptOutputs(self.cells.outputs(planned.cell.key), shared)

        def action(facts: CellFacts) -> JobResult:
            with self.cells.lock(planned.cell.key, wait=wait):
                stored = self._stored(planned)
                needed = list(metrics)
                if stored is not None:
                    missing = planned.missing_metrics(stored)
                    if not missing:
                        return JobResult(status=Status.CACHED, result=stored)
                    needed = [metric for metric in metrics if metric.name in missing]
                self.registry.call("before_cell", cell=planned.cell)
                result = self._compute(planned, needed, facts, stored, outputs)
                return JobResult(status=Status.DONE, result=result)

        return self._guarded(action)

    def release(self, outputs_key: str) -> None:
        """Remove the outputs that cells have shared.

        A cell of another run that still uses them harmonises the rest of its scans itself.
        """
        shutil.rmtree(self._outputs(outputs_key), ignore_errors=True)

    def _outputs(self, outputs_key: str) -> Path:
        return self.home / "outputs" / outputs_key

    def _guarded(self, action: Callable[[CellFacts], JobResult]) -> JobResult:
        """Compute a fit or a cell; an error becomes its result."""
        facts = CellFacts({"device": devices.describe(self.device)})
        try:
            return action(facts)
        except HeldError:
            return JobResult(status=Status.PLANNED)
        except DivergedError as error:
            status, reason = Status.DIVERGED, str(error)
        except Exception as error:
            status = Status.FAILED
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            facts.facts["traceback"] = traceback.format_exc()
        return JobResult(status=status, reason=reason, facts=facts.facts, curves=facts.curves)

    def _compute(
        self,
        planned: PlannedCell,
        metrics: Sequence[Metric],
        facts: CellFacts,
        stored: CellResult | None,
        outputs: KeptOutputs,
    ) -> CellResult:
        assert planned.data is not None
        assert planned.task is not None
        context = ScoringContext(
            data=planned.data,
            metrics=metrics,
            instruments=self._instruments(planned, facts),
            device=self.device,
            seed=planned.cell.seed,
            preset=planned.cell.preset,
            progress=self.progress,
        )
        bounds = task_bounds(planned, planned.task, context, BoundsStore(self.home / "bounds"))
        method = self._method(planned, facts)
        return score_cell(planned, method, context, bounds, facts, self.cells, stored, outputs)

    def _method(self, planned: PlannedCell, facts: CellFacts) -> Method:
        """Return the method on the device; its fit is loaded where it is stored."""
        if planned.fit is None:
            facts.facts |= {"fit_seconds": 0.0, "n_parameters": 0}
            return build(
                planned.method,
                name=planned.cell.method,
                grid=planned.grid,
                config=planned.config,
                seed=planned.cell.seed,
                device=self.device,
            )
        method, _ = self.fitter.obtain(planned.fit, facts)
        assert isinstance(method, Method)
        return method

    def _instruments(self, planned: PlannedCell, facts: CellFacts) -> dict[str, Instrument]:
        """Return the task's instruments on the device; their costs are recorded apart."""
        instruments: dict[str, Instrument] = {}
        for title, fit in planned.instruments.items():
            instrument_facts = CellFacts()
            instrument, _ = self.fitter.obtain(fit, instrument_facts)
            assert isinstance(instrument, Instrument)
            instruments[title] = instrument
            facts.facts.setdefault("instruments", {})[title] = {
                "name": fit.name,
                "fit": fit.key,
                **instrument_facts.facts,
            }
        return instruments
