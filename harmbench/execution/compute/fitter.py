"""Fitting models, and loading those that are stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from harmbench.contracts.fit_progress import CurvePoint, FitProgress
from harmbench.contracts.instrument import Instrument
from harmbench.contracts.model import Model, n_parameters
from harmbench.errors import DivergedError
from harmbench.execution.compute.cell_facts import CellFacts
from harmbench.execution.compute.fitted import build
from harmbench.execution.compute.seen import seen_scans
from harmbench.execution.plan.fit import Fit
from harmbench.store.stores import FitStore
from harmbench.util import device as devices
from harmbench.util.hashing import canonical
from harmbench.util.progress import Progress
from harmbench.util.seeds import seeded


@dataclass(frozen=True, kw_only=True)
class Fitter:
    """Fits models on one device, or loads them from the store.

    Attributes
    ----------
    store
        The store of fits.
    device
        Device that models are fitted on.
    progress
        Where progress is shown.
    checkpoint_seconds
        Seconds between the checkpoints of a fit.
    """

    store: FitStore
    device: torch.device
    progress: Progress
    checkpoint_seconds: float

    def obtain(self, fit: Fit, facts: CellFacts, *, wait: bool = True) -> tuple[Model, bool]:
        """Load a fit, or fit and store it; its facts and curves are added to `facts`.

        Returns
        -------
        tuple
            The model on the device in eval mode, and whether it was fitted now.

        Raises
        ------
        HeldError
            If another process is fitting it, unless `wait`.
        """
        model = self._build(fit)
        with self.store.lock(fit.key, wait=wait):
            stored = self.store.load(fit.key, model)
            if stored is None:
                if self.store.has(fit.key):
                    # It is damaged, and may have been loaded in part: start from a fresh model.
                    model = self._build(fit)
                description, curves = self._fit(fit, model, facts)
                self.store.save(fit.key, model, description, curves)
            else:
                description, curves = stored
                # Left by a process that was killed while it stored the fit.
                self.store.drop_checkpoints(fit.key)
            facts.curves = curves
            facts.add_fit(description)
        return model.eval(), stored is None

    def _build(self, fit: Fit) -> Model:
        return build(
            fit.model,
            name=fit.name,
            grid=fit.grid,
            config=fit.config,
            seed=fit.seed,
            device=self.device,
        )

    def _fit(
        self, fit: Fit, model: Model, facts: CellFacts
    ) -> tuple[dict[str, Any], Sequence[CurvePoint]]:
        """Fit a fresh model, from its checkpoint if an earlier process left one.

        Returns
        -------
        tuple
            The description to store with its state, and its curves.
        """
        parts = self._load_parts(fit, model, facts)
        fit_data = fit.fit_data
        progress = FitProgress(
            self.progress,
            self.store.checkpoints(fit.key),
            checkpoint_seconds=self.checkpoint_seconds,
        )
        try:
            # A figure or an evaluation, which has no gradients, may be the first to need the fit.
            with torch.enable_grad(), seeded(fit.seed, "fit", fit.name):
                model.train()
                model.fit(fit_data, progress)
            model.eval()
            if not all(bool(value.isfinite().all()) for value in model.state_dict().values()):
                raise DivergedError("the fit ended with values that are not finite")
        except DivergedError:
            # From its last checkpoint it would diverge again.
            self.store.drop_checkpoints(fit.key)
            raise
        finally:
            facts.curves = (*parts.curves, *progress.curves)
            costs = {
                # The cost of a model includes that of its parts, whichever cell fitted them.
                "seconds": parts.facts["fit_seconds"] + progress.seconds,
                "own_seconds": progress.seconds,
                "n_parameters": n_parameters(model),
                "facts": progress.facts,
            }
            facts.add_fit(costs)
        return {
            "method": fit.name,
            "kind": "instrument" if isinstance(model, Instrument) else "method",
            "version": model.version,
            "preset": fit.preset,
            "settings": canonical(fit.config),
            "seed": fit.seed,
            "split": fit.split,
            "fold": fit.fold,
            "grid": canonical(fit.grid),
            "domain": fit_data.target.domain,
            "subjects": sorted(set(fit_data.target.subjects)),
            "data": fit_data.digest,
            "normalization": fit.normalization,
            "standard": fit.standard,
            "prepared": fit.prepared,
            "seen": seen_scans(fit),
            "device": devices.describe(self.device),
            **costs,
        }, facts.curves

    def _load_parts(self, fit: Fit, model: Model, facts: CellFacts) -> CellFacts:
        """Load the fits that a model is built on; return their curves and total seconds."""
        total = CellFacts({"fit_seconds": 0.0})
        for attribute, part in fit.parts.items():
            part_facts = CellFacts()
            try:
                fitted, _ = self.obtain(part, part_facts)
                getattr(model, attribute).load_state_dict(fitted.state_dict())
            finally:
                total.curves = (
                    *total.curves,
                    *(
                        point._replace(name=f"{attribute}.{point.name}")
                        for point in part_facts.curves
                    ),
                )
                facts.curves = total.curves
            total.facts["fit_seconds"] += part_facts.facts["fit_seconds"]
        return total
