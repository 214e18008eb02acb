"""Validation during training, and the choice of the best state."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from harmbench.training.training_record import TrainingRecord


class Validation:
    """Validates a module during training and keeps a copy of its best state.

    Parameters
    ----------
    module
        The trained module.
    record
        Receives the curve `validation` and a message about the chosen state.
    function
        Evaluates the module in eval mode without gradients; lower is better. None disables
        validation.
    every
        Steps between validations.
    """

    def __init__(
        self,
        module: nn.Module,
        record: TrainingRecord,
        function: Callable[[], float] | None,
        every: int,
    ) -> None:
        self._module = module
        self._record = record
        self._function = function
        self._every = every
        self._best = math.inf
        self._best_step = 0
        self._best_state: dict[str, Tensor] = {}

    def is_due(self, step: int, steps: int) -> bool:
        """Whether to validate after this step; the last of all steps is always validated."""
        return self._function is not None and (step == steps or step % self._every == 0)

    def validate(self) -> None:
        """Validate, leaving the module in eval mode, and copy its state if it is the best."""
        assert self._function is not None
        self._module.eval()
        with torch.no_grad():
            value = self._function()
        step = self._record.step
        self._record.progress.curve(step, validation=value)
        if value < self._best:
            self._best, self._best_step = value, step
            state = self._module.state_dict()
            self._best_state = {name: tensor.clone() for name, tensor in state.items()}

    def load_best(self, steps: int) -> float | None:
        """Load the best state into the module, in eval mode; return its validation.

        Without a finite validation the module keeps its last state and the result is None.
        """
        self._module.eval()
        if not self._best_state:
            return None
        self._module.load_state_dict(self._best_state)
        self._record.log(
            f"{self._record.measure} {self._best:.4g} on validation, "
            f"at step {self._best_step} of {steps}"
        )
        return self._best

    def state_dict(self) -> dict[str, Any]:
        """Return the best validation, its step and its state."""
        return {"best": self._best, "step": self._best_step, "state": self._best_state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the best validation; tensors are moved to the record's device."""
        self._best, self._best_step = state["best"], state["step"]
        self._best_state = {
            name: value.to(self._record.device) for name, value in state["state"].items()
        }
