"""The stores of fits, cells and bounds: folders named by keys and written atomically."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pandas as pd
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from harmbench.contracts.cell import Cell, CellResult, Status
from harmbench.contracts.fit_progress import CurvePoint
from harmbench.contracts.model import Model
from harmbench.statistics.estimate import Estimate
from harmbench.store.curves import read_curves, write_curves
from harmbench.store.folder_store import CHECKSUMS, Store
from harmbench.store.slices import write_slices


class FitStore(Store):
    """Fitted methods and instruments: `state.safetensors`, `fit.json` and `curves.csv`.

    Loading a fit runs no code. The folder also contains the checkpoints of unfinished fits.
    """

    def checkpoints(self, key: str) -> Path:
        """Return the path of the checkpoints of a fit, existing or not."""
        return self.root / f".{key}.checkpoints"

    def drop_checkpoints(self, key: str) -> None:
        """Remove the checkpoints of a fit; the caller must hold the key's lock."""
        shutil.rmtree(self.checkpoints(key), ignore_errors=True)

    def save(
        self,
        key: str,
        model: Model,
        description: dict[str, Any],
        curves: Sequence[CurvePoint],
    ) -> None:
        """Store a fitted model's state dict, and remove its checkpoints."""
        state = {name: tensor.contiguous().cpu() for name, tensor in model.state_dict().items()}
        with self.writing(key) as folder:
            save_file(state, folder / "state.safetensors")
            (folder / "fit.json").write_text(json.dumps(description))
            write_curves(folder, curves)
        self.drop_checkpoints(key)

    def load(self, key: str, model: Model) -> tuple[dict[str, Any], tuple[CurvePoint, ...]] | None:
        """Load a stored state into `model`.

        Returns
        -------
        tuple or None
            The description and the curves; None if the fit does not exist or is damaged.
        """
        if not self.has(key):
            return None
        try:
            description = json.loads((self.path(key) / "fit.json").read_text())
            curves = read_curves(self.path(key))
            model.load_state_dict(load_file(self.path(key) / "state.safetensors"))
        except (OSError, ValueError, RuntimeError, SafetensorError):
            return None
        assert isinstance(description, dict)
        return description, curves


class CellStore(Store):
    """Results of finished cells.

    Files are `result.json`, `scores.csv`, `figure.png`, `slices.npz`, `curves.csv` if the
    method is fitted, and `plugin_NAME.py` for each single-file plugin that computed the result. The
    folder also contains the outputs of cells without scores of all test scans.
    """

    def outputs(self, key: str) -> Path:
        """Return the path of the kept outputs of a cell, existing or not."""
        return self.root / f".{key}.outputs"

    def save(
        self,
        cell: Cell,
        result: CellResult,
        figure: bytes | None,
        slices: dict[str, npt.NDArray[Any]] | None = None,
        sources: Mapping[str, bytes] | None = None,
    ) -> CellResult:
        """Store a finished cell, and return its result with its folder.

        Parameters
        ----------
        cell, result
            The cell and its result.
        figure
            PNG image of example slices.
        slices
            Slices for the report, by name.
        sources
            Source of the single-file plugins that computed the result, by file name.
        """
        assert result.scores is not None
        with self.writing(cell.key) as folder:
            _write_scores(folder, cell, result)
            if figure is not None:
                (folder / "figure.png").write_bytes(figure)
            if slices is not None:
                write_slices(folder / "slices.npz", slices)
            if result.curves:
                write_curves(folder, result.curves)
            for name, source in (sources or {}).items():
                (folder / f"plugin_{name}").write_bytes(source)
        if not result.missing:
            self._drop_outputs(cell.key)
        return CellResult(
            status=result.status,
            scores=result.scores,
            estimates=result.estimates,
            folder=self.path(cell.key),
            facts=result.facts,
            curves=result.curves,
        )

    def add_scores(self, cell: Cell, stored: CellResult, added: CellResult) -> CellResult:
        """Replace or add the scores of some metrics; every other number and file stays.

        Parameters
        ----------
        cell
            A stored cell; the caller must hold its lock.
        stored
            Its result.
        added
            Scores, estimates and facts of the metrics named in the fact `metrics`.
        """
        assert stored.scores is not None
        assert stored.folder is not None
        assert added.scores is not None
        names = set(added.facts["metrics"])
        other_scores = stored.scores[~stored.scores["metric"].isin(names)]
        lists = {
            name: sorted({*stored.facts[name]} - names | {*added.facts[name]})
            for name in ("lower_is_better", "diagnostic")
        }
        bounds = {
            title: {
                **{name: n for name, n in numbers.items() if name not in names},
                **added.facts["bounds"].get(title, {}),
            }
            for title, numbers in {**added.facts["bounds"], **stored.facts["bounds"]}.items()
        }
        result = CellResult(
            status=Status.DONE,
            scores=pd.concat([other_scores, added.scores], ignore_index=True),
            estimates={
                **{n: value for n, value in stored.estimates.items() if n not in names},
                **added.estimates,
            },
            folder=stored.folder,
            facts={
                **stored.facts,
                **lists,
                "bounds": bounds,
                "ranges": added.facts["ranges"],
                "metrics": {**stored.facts["metrics"], **added.facts["metrics"]},
            },
            curves=stored.curves,
        )
        with self.writing(cell.key) as folder:
            for path in stored.folder.iterdir():
                if path.name != CHECKSUMS:
                    shutil.copy2(path, folder / path.name)
            _write_scores(folder, cell, result)
        self._drop_outputs(cell.key)
        return result

    def _drop_outputs(self, key: str) -> None:
        shutil.rmtree(self.outputs(key), ignore_errors=True)

    def load(self, key: str) -> CellResult | None:
        """Load a finished cell; None if it does not exist or is damaged."""
        folder = self.path(key)
        try:
            content = json.loads((folder / "result.json").read_text())
            scores = pd.read_csv(
                folder / "scores.csv",
                dtype={"subject": str, "scan": str, "value": str},
            )
            # Through text: the parser of older pandas versions may round the last bit.
            scores["value"] = scores["value"].astype(float)
            estimates = from_json(content["estimates"])
            facts = content["facts"]
            curves = read_curves(folder) if (folder / "curves.csv").exists() else ()
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return CellResult(
            status=Status.CACHED,
            scores=scores,
            estimates=estimates,
            folder=folder,
            facts=facts,
            curves=curves,
        )


class BoundsStore(Store):
    """Bounds for the scores of a task's cells: `bounds.json`."""

    def save(self, key: str, bounds: Mapping[str, Any]) -> None:
        """Store bounds, which are JSON types."""
        with self.writing(key) as folder:
            (folder / "bounds.json").write_text(json.dumps(bounds))

    def load(self, key: str) -> dict[str, Any] | None:
        """Load bounds; None if they do not exist or are damaged."""
        try:
            bounds = json.loads((self.path(key) / "bounds.json").read_text())
        except (OSError, ValueError):
            return None
        return dict(bounds)


def to_json(estimates: Mapping[str, Estimate]) -> dict[str, dict[str, float | str]]:
    """Return estimates as JSON types."""
    return {
        name: {field: json_number(value) for field, value in asdict(estimate).items()}
        for name, estimate in estimates.items()
    }


def from_json(content: Mapping[str, Mapping[str, float | str]]) -> dict[str, Estimate]:
    """Return the estimates from the result of `to_json`."""
    return {
        name: Estimate(**{field: _number(value) for field, value in values.items()})
        for name, values in content.items()
    }


def _write_scores(folder: Path, cell: Cell, result: CellResult) -> None:
    assert result.scores is not None
    result.scores.to_csv(folder / "scores.csv", index=False)
    content = {
        "cell": asdict(cell),
        "estimates": to_json(result.estimates),
        "facts": dict(result.facts),
    }
    (folder / "result.json").write_text(json.dumps(content))


def json_number(value: float) -> float | str:
    """Return a number for JSON: infinity and NaN as text."""
    return value if math.isfinite(value) else str(value)


def _number(value: float | str) -> Any:
    return float(value) if isinstance(value, str) else value
