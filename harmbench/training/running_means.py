"""Means of losses over a window of training steps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class RunningMeans:
    """Means of named numbers over the steps of a window.

    Numbers stay on their device until `read` transfers all of them at once.
    """

    def __init__(self) -> None:
        self._unread: list[tuple[int, dict[str, Tensor]]] = []
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def add(self, step: int, numbers: dict[str, Tensor]) -> None:
        """Add the numbers of a step: scalars on any device."""
        self._unread.append((step, numbers))

    def read(self) -> list[tuple[int, dict[str, float]]]:
        """Transfer the numbers added since the last call, and return them by step."""
        if not self._unread:
            return []
        flat = torch.stack([value for _, numbers in self._unread for value in numbers.values()])
        values = iter(flat.tolist())
        steps = [(step, {key: next(values) for key in numbers}) for step, numbers in self._unread]
        self._unread = []
        for _, numbers in steps:
            for key, value in numbers.items():
                self._sums[key] = self._sums.get(key, 0.0) + value
                self._counts[key] = self._counts.get(key, 0) + 1
        return steps

    def close(self) -> dict[str, float]:
        """Return the means over the window, and start the next window."""
        means = {key: total / self._counts[key] for key, total in self._sums.items()}
        self._sums, self._counts = {}, {}
        return means

    def state_dict(self) -> dict[str, Any]:
        """Return the sums and counts of the window, without unread numbers."""
        return {"sums": self._sums, "counts": self._counts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the window."""
        self._sums, self._counts = state["sums"], state["counts"]
