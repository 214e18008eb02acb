"""The model that MLflow's registry holds: a stored fit that harmonises an array.

MLflow copies this file beside the fit, and runs it when the model is loaded ("models from
code"); nothing of ours is pickled. Loading needs harmbench and the plugin of the method.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from harmbench.contracts.method import Method
from harmbench.data.scans import Grid, Scans
from harmbench.execution.compute.apply import harmonized_by
from harmbench.execution.plan import settings
from harmbench.plugins import Registry
from harmbench.store.stores import FitStore
from harmbench.util.seeds import seeded


class Harmonizes(PythonModel):  # type: ignore[misc]
    """Harmonises scans `(N, S, H, W)` in [0, 1] on the grid of the fit, on the CPU."""

    def load_context(self, context: Any) -> None:
        """Build the method, and load what it has learnt."""
        fit = Path(context.artifacts["fit"])
        cell = json.loads(Path(context.artifacts["cell"]).read_text())["cell"]
        grid = Grid.of(json.loads((fit / "fit.json").read_text())["grid"])
        kind: type[Method] = Registry.discover().entry("methods", cell["method"]).load()
        config = settings.change(
            cell["method"], kind.preset(cell["preset"]), cell["settings"], "model of"
        )
        with seeded(cell["seed"], "initialise", cell["method"]):
            self.method = kind(grid, config)
        if FitStore(fit.parent).load(fit.name, self.method) is None:
            raise ValueError(f"the fit in {fit} is damaged, or of another version of the method")
        self.seed = int(cell["seed"])

    def predict(
        self,
        context: Any,
        model_input: np.ndarray,  # MLflow knows it without arguments
        params: Any = None,
    ) -> npt.NDArray[np.float32]:
        """Harmonise.

        Parameters
        ----------
        context, params
            MLflow's; not used.
        model_input
            `(N, S, H, W)` in [0, 1], prepared as the scans of the cohort were: intensities
            normalised, and 0 outside the brain.

        Returns
        -------
        numpy.ndarray
            Of the same shape, float32 in [0, 1].
        """
        images = torch.from_numpy(np.array(model_input, dtype=np.float32))
        grid = self.method.grid
        if images.ndim != 4 or tuple(images.shape[1:]) != grid.shape:
            raise ValueError(
                f"the array has shape {tuple(images.shape)}, and must have (N, S, H, W) with "
                f"(S, H, W) = {grid.shape}"
            )
        names = tuple(map(str, range(len(images))))
        scans = Scans(images, images > 0, names, names, torch.tensor(grid.positions))
        harmonized = harmonized_by(self.method, scans, None, self.seed, torch.device("cpu"))
        found: npt.NDArray[np.float32] = harmonized.images.numpy()
        return found


set_model(Harmonizes())
