"""Checkpoints of a training: the state of everything that changes during it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch

from harmbench.contracts.fit_progress import FitProgress


class Stateful(Protocol):
    """Anything that can save and restore its state: modules, optimisers, an image pool."""

    def state_dict(self) -> Any:
        """Return the state: tensors, numbers, strings, and lists and dicts of them."""
        ...

    def load_state_dict(self, state: Any) -> Any:
        """Restore the state."""
        ...


class Checkpoint:
    """The state of a training, saved in the progress of its fit.

    Torch's global random streams, on the CPU and on `device`, are part of the state.

    Parameters
    ----------
    progress
        Stores the checkpoint.
    name
        Name of the checkpoint; trainings with a different set of parts need another name.
    parts
        Objects with state by name.
    device
        Device whose random stream is saved.
    """

    def __init__(
        self,
        progress: FitProgress,
        name: str,
        parts: Mapping[str, Stateful | torch.Generator],
        device: torch.device,
    ) -> None:
        self._progress = progress
        self._name = name
        self._parts = parts
        self._device = device

    def save(self) -> None:
        """Save the state of all parts and of the random streams."""
        state = {
            name: part.get_state() if isinstance(part, torch.Generator) else part.state_dict()
            for name, part in self._parts.items()
        }
        on_gpu = self._device.type == "cuda"
        streams = {
            "cpu": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state(self._device) if on_gpu else None,
        }
        self._progress.save({"parts": state, "random_streams": streams}, self._name)

    def restore(self) -> bool:
        """Restore the saved state; return whether there is one."""
        state = self._progress.saved(self._name)
        if state is None:
            return False
        for name, part in self._parts.items():
            if isinstance(part, torch.Generator):
                part.set_state(state["parts"][name])
            else:
                part.load_state_dict(state["parts"][name])
        torch.set_rng_state(state["random_streams"]["cpu"])
        if self._device.type == "cuda":
            torch.cuda.set_rng_state(state["random_streams"]["cuda"], self._device)
        return True
