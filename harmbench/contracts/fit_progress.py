"""Progress, curves and checkpoints of a fit."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from harmbench.util.files import atomic_write
from harmbench.util.progress import Progress, Silent, T

# Seconds between two checkpoints: the most work that a kill can lose.
CHECKPOINT_SECONDS = 60.0


class CurvePoint(NamedTuple):
    """A value recorded at a step of a fit."""

    step: int
    name: str
    value: float


class FitProgress:
    """Progress of a fit: display, checkpoints and records; the argument of `Method.fit`.

    A method that trains with `harmbench.train` only passes it on.

    Parameters
    ----------
    shown
        Display of the progress; none if None.
    checkpoints
        Folder for the fit's checkpoints; none are kept if None.
    checkpoint_seconds
        Seconds between two checkpoints that `harmbench.train` saves.

    Attributes
    ----------
    curves
        Values recorded by step, such as the loss.
    facts
        Values recorded once, as JSON types.
    """

    def __init__(
        self,
        shown: Progress | None = None,
        checkpoints: Path | None = None,
        *,
        checkpoint_seconds: float = CHECKPOINT_SECONDS,
    ) -> None:
        self.checkpoint_seconds = checkpoint_seconds
        self._shown: Progress = Silent() if shown is None else shown
        self._checkpoints = checkpoints
        self._began = time.monotonic()
        self.curves: list[CurvePoint] = []
        self.facts: dict[str, Any] = {}

    def track(self, items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
        """Yield the items, counting them; `total` where the items have no length."""
        return self._shown.track(items, description, total)

    def note(self, text: str) -> None:
        """Show a word beside the innermost running bar, such as the loss."""
        self._shown.note(text)

    def log(self, text: str) -> None:
        """Print a permanent line."""
        self._shown.log(text)

    @property
    def seconds(self) -> float:
        """Duration of the fit in seconds, including the time before the last resume."""
        return time.monotonic() - self._began

    def curve(self, step: int, **values: float) -> None:
        """Record values at a step; each name is a curve."""
        self.curves += [CurvePoint(step, name, float(value)) for name, value in values.items()]

    def fact(self, name: str, value: Any) -> None:
        """Record a value of the whole fit, of a JSON type."""
        self.facts[name] = value

    def save(self, state: Mapping[str, Any], name: str = "fit") -> None:
        """Save a checkpoint; it replaces the last one of this name.

        The write is atomic: a kill at any moment leaves the new checkpoint or the old one.

        Parameters
        ----------
        state
            Tensors, numbers, texts, and lists and dicts of them: the types that `torch.load`
            reads without running code.
        name
            Name of the checkpoint, for a fit with several.
        """
        if self._checkpoints is None:
            return
        import torch

        content = {
            "state": dict(state),
            "curves": [tuple(point) for point in self.curves],
            "facts": dict(self.facts),
            "seconds": self.seconds,
        }
        with atomic_write(self._path(self._checkpoints, name)) as stream:
            torch.save(content, stream)

    def saved(self, name: str = "fit") -> dict[str, Any] | None:
        """Return the last saved state, on the CPU, and restore its curves and facts.

        Returns
        -------
        dict or None
            None if there is no such checkpoint or it cannot be read; the latter is logged.
        """
        if self._checkpoints is None or not self._path(self._checkpoints, name).exists():
            return None
        import torch

        try:
            content = torch.load(
                self._path(self._checkpoints, name), map_location="cpu", weights_only=True
            )
            state = dict(content["state"])
            curves = [CurvePoint(*point) for point in content["curves"]]
            facts, seconds = dict(content["facts"]), float(content["seconds"])
        except Exception as error:  # a damaged file can raise any error
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            self.log(f"a checkpoint is damaged, so the fit restarts: {reason}")
            return None
        self.curves, self.facts = curves, facts
        self._began = time.monotonic() - seconds
        return state

    @staticmethod
    def _path(folder: Path, name: str) -> Path:
        return folder / f"{quote(name, safe='')}.pt"
