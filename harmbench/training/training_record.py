"""The record of a training: curves, facts, displayed losses, and the check for divergence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from harmbench.contracts.fit_progress import FitProgress
from harmbench.errors import DivergedError
from harmbench.training.phase import Phase
from harmbench.training.running_means import RunningMeans
from harmbench.util import memory


class TrainingRecord:
    """Records a training in the progress of its fit.

    Parameters
    ----------
    progress
        Progress of the fit; receives the curves, facts and messages.
    name
        Name of the training, shown in front of its messages.
    measure
        Display name of the loss of an unnamed phase.
    device
        Device whose peak memory is recorded.

    Attributes
    ----------
    step, slices
        Completed training steps, and the number of slices trained on.
    seconds
        Duration of the steps, without validation and checkpoints.
    """

    def __init__(
        self, progress: FitProgress, name: str, measure: str, device: torch.device
    ) -> None:
        self.progress = progress
        self.name = name
        self.measure = measure
        self.device = device
        self.step = 0
        self.slices = 0
        self.seconds = 0.0
        self._means = RunningMeans()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    def log(self, text: str) -> None:
        """Log a message of this training."""
        self.progress.log(f"{self.name}: {text}")

    def add(self, numbers: dict[str, Tensor], slices: int) -> None:
        """Count a completed step on a number of slices, and add its numbers by curve."""
        self.step += 1
        self.slices += slices
        self._means.add(self.step, numbers)

    def read(self, phases: Sequence[Phase]) -> None:
        """Read the losses of the steps since the last call, and display the latest.

        Raises
        ------
        DivergedError
            If a loss or a gradient norm is not finite.
        """
        for step, numbers in self._means.read():
            losses = []
            for phase in phases:
                loss, norm = (numbers[phase.curve(key)] for key in ("loss", "gradient_norm"))
                label = phase.name or self.measure
                if not (math.isfinite(loss) and math.isfinite(norm)):
                    self.progress.curve(step, **numbers)
                    raise DivergedError(
                        f"{self.name}: diverged at training step {step} "
                        f"({label} {loss:.4g}, gradient norm {norm:.2g})"
                    )
                losses.append(f"{label} {loss:.4g}")
            speed = [f"{self.slices / self.seconds:.0f} slices/s"] if self.seconds else []
            self.progress.note(", ".join([*losses, *speed]))

    def close_window(self, phases: Sequence[Phase]) -> None:
        """Record the mean losses since the last call and the current learning rates."""
        rates = {
            phase.curve("learning_rate"): float(phase.optimizer.param_groups[0]["lr"])
            for phase in phases
        }
        self.progress.curve(self.step, **self._means.close(), **rates)

    def finish(self) -> None:
        """Record speed, peak memory and the number of completed steps."""
        if self.seconds:
            self.progress.fact("slices_per_second", self.slices / self.seconds)
        self.progress.fact("peak_memory_mib", memory.peak_bytes(self.device) / 2**20)
        self.progress.fact("steps_done", self.step)

    def state_dict(self) -> dict[str, Any]:
        """Return the counters and the means of the current window."""
        return {
            "step": self.step,
            "slices": self.slices,
            "seconds": self.seconds,
            "means": self._means.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the counters and the means."""
        self.step, self.slices, self.seconds = (state[key] for key in ("step", "slices", "seconds"))
        self._means.load_state_dict(state["means"])
