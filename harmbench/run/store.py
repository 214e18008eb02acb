"""The stores of fits and of cells: content-keyed folders that are whole or not there."""

from __future__ import annotations

import contextlib
import csv
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from harmbench.method import Method
from harmbench.metrics.aggregate import Estimate
from harmbench.progress import CurvePoint
from harmbench.run.cell import Cell, CellResult, Status


class Store:
    """Folders by key. One is written under another name first, so that a kill leaves no half.

    Parameters
    ----------
    root
        Folder of the store.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, key: str) -> Path:
        """Where the folder of `key` is, or would be."""
        return self.root / key

    def has(self, key: str) -> bool:
        """Whether the folder of `key` is there."""
        return self.path(key).is_dir()

    @contextlib.contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """Hold the key, so that two processes do not compute the same thing."""
        self.root.mkdir(parents=True, exist_ok=True)
        with FileLock(self.root / f".{key}.lock"):
            yield

    @contextlib.contextmanager
    def writing(self, key: str) -> Iterator[Path]:
        """Give a new folder to write into; it takes its place when the block ends well.

        To be called with the key's lock held.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        for stale in self.root.glob(f".{key}-*"):  # of a process that was killed here
            shutil.rmtree(stale, ignore_errors=True)
        building = Path(tempfile.mkdtemp(prefix=f".{key}-", dir=self.root))
        try:
            yield building
            for path in building.iterdir():
                with path.open("rb") as stream:
                    os.fsync(stream.fileno())
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(self.path(key))
            building.rename(self.path(key))
        finally:
            shutil.rmtree(building, ignore_errors=True)


class FitStore(Store):
    """Fitted methods: `state.safetensors`, `fit.json` and `curves.csv`.

    Loading one runs no code. Beside them lie the checkpoints of fits that are under way.
    """

    def checkpoints(self, key: str) -> Path:
        """Where the checkpoints of a fit are, or would be."""
        return self.root / f".{key}.checkpoints"

    def drop_checkpoints(self, key: str) -> None:
        """Remove the checkpoints of a fit; to be called with the key's lock held."""
        shutil.rmtree(self.checkpoints(key), ignore_errors=True)

    def save(
        self,
        key: str,
        method: Method,
        description: dict[str, Any],
        curves: Sequence[CurvePoint],
    ) -> None:
        """Store a fitted method's state dict; its checkpoints have served."""
        state = {name: tensor.contiguous().cpu() for name, tensor in method.state_dict().items()}
        with self.writing(key) as folder:
            save_file(state, folder / "state.safetensors")
            (folder / "fit.json").write_text(json.dumps(description, indent=1))
            _write_curves(folder, curves)
        self.drop_checkpoints(key)

    def load(
        self, key: str, method: Method
    ) -> tuple[dict[str, Any], tuple[CurvePoint, ...]] | None:
        """Load a stored state into `method`.

        Returns
        -------
        tuple or None
            The description and the curves, or None if there is no such fit or its files
            are damaged.
        """
        if not self.has(key):
            return None
        try:
            description = json.loads((self.path(key) / "fit.json").read_text())
            curves = _read_curves(self.path(key))
            method.load_state_dict(load_file(self.path(key) / "state.safetensors"))
        except (OSError, ValueError, RuntimeError, SafetensorError):
            return None
        assert isinstance(description, dict)
        return description, curves


class CellStore(Store):
    """Results of finished cells: `result.json`, `scores.csv`, `curves.csv` and `figure.png`.

    There are no curves of a method with nothing to learn.
    """

    def save(self, cell: Cell, result: CellResult, figure: bytes | None) -> CellResult:
        """Store a finished cell, and return its result with the folder it lies in."""
        assert result.scores is not None
        with self.writing(cell.key) as folder:
            result.scores.to_csv(folder / "scores.csv", index=False)
            if figure is not None:
                (folder / "figure.png").write_bytes(figure)
            if result.curves:
                _write_curves(folder, result.curves)
            content = {
                "cell": asdict(cell),
                "estimates": {
                    name: {k: _text(v) for k, v in asdict(estimate).items()}
                    for name, estimate in result.estimates.items()
                },
                "facts": dict(result.facts),
            }
            (folder / "result.json").write_text(json.dumps(content, indent=1))
        return CellResult(
            result.status,
            scores=result.scores,
            estimates=result.estimates,
            folder=self.path(cell.key),
            facts=result.facts,
            curves=result.curves,
            fit_cached=result.fit_cached,
        )

    def load(self, key: str) -> CellResult | None:
        """Load a finished cell; None if there is none or its files are damaged."""
        folder = self.path(key)
        try:
            content = json.loads((folder / "result.json").read_text())
            scores = pd.read_csv(folder / "scores.csv", dtype={"person": str, "scan": str})
            estimates = {
                name: Estimate(**{k: _number(v) for k, v in values.items()})
                for name, values in content["estimates"].items()
            }
            facts = content["facts"]
            curves = _read_curves(folder) if (folder / "curves.csv").exists() else ()
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return CellResult(
            Status.CACHED,
            scores=scores,
            estimates=estimates,
            folder=folder,
            facts=facts,
            curves=curves,
            fit_cached=True,
        )


def _write_curves(folder: Path, curves: Sequence[CurvePoint]) -> None:
    with (folder / "curves.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([CurvePoint._fields, *curves])


def _read_curves(folder: Path) -> tuple[CurvePoint, ...]:
    with (folder / "curves.csv").open(newline="") as stream:
        _, *rows = csv.reader(stream)
    return tuple(CurvePoint(int(step), name, float(value)) for step, name, value in rows)


def _text(value: float) -> float | str:
    """JSON knows no infinity and no not-a-number: write them as text."""
    return value if math.isfinite(value) else str(value)


def _number(value: float | str) -> Any:
    return float(value) if isinstance(value, str) else value
