"""Parameter updates: gradients of every phase on a batch, in parts if memory is short."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from harmbench.training.gradients import Gradients, GraphedGradients
from harmbench.training.phase import Phase, frozen
from harmbench.training.training_record import TrainingRecord
from harmbench.util import memory
from harmbench.util.precision import autocast


class Updates:
    """Updates the parameters of all phases on one batch.

    Parameters
    ----------
    phases
        Applied in this order. During each phase, parameters that only other phases train are
        frozen: the loss of a generator computes no gradients of discriminators.
    record
        Receives a fact and a message when memory runs out.
    micro_batches
        Number of parts that a batch is split into; gradients are summed over parts.
    mixed_precision
        Compute the losses under `autocast`.
    generators
        Random generators on the device that losses draw from, besides torch's own.

    Raises
    ------
    ValueError
        If two phases have the same name.
    """

    def __init__(
        self,
        phases: Sequence[Phase],
        record: TrainingRecord,
        micro_batches: int,
        mixed_precision: bool,
        generators: Sequence[torch.Generator],
    ) -> None:
        if len({phase.name for phase in phases}) < len(phases):
            raise ValueError("phases need different names")
        self.phases = tuple(phases)
        self.mixed_precision = mixed_precision
        self._record = record
        self._device = record.device
        self._micro_batches = micro_batches
        self._frozen = [self._only_of_others(phase) for phase in self.phases]
        self._gradients = [self._gradients_of(phase, generators) for phase in self.phases]

    def _gradients_of(self, phase: Phase, generators: Sequence[torch.Generator]) -> Gradients:
        compute = partial(self._compute, phase)
        if not phase.cuda_graph or self._device.type != "cuda":
            return Gradients(compute)
        return GraphedGradients(
            compute,
            phase.parameters,
            self._record.log,
            generators=generators,
            device=self._device,
        )

    def _only_of_others(self, phase: Phase) -> list[Tensor]:
        own = set(phase.parameters)
        others = {tensor for other in self.phases for tensor in other.parameters} - own
        return [tensor for tensor in others if tensor.requires_grad]

    def apply(self, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """Apply all phases to a batch; return losses and gradient norms by curve."""
        numbers: dict[str, Tensor] = {}
        for phase, gradients, others in zip(
            self.phases, self._gradients, self._frozen, strict=True
        ):
            with frozen(others):
                numbers |= self._apply(phase, gradients, batch)
        return numbers

    def _apply(
        self, phase: Phase, gradients: Gradients, batch: tuple[Tensor, ...]
    ) -> dict[str, Tensor]:
        """Update the phase's parameters; return its numbers by curve.

        If memory runs out, this batch and all later ones are split into twice as many parts.
        """
        while True:
            try:
                numbers = gradients(batch)
                break
            except Exception as error:
                if not memory.ran_out(error) or self._micro_batches >= len(batch[0]):
                    raise
            # Outside the except block: the error holds references to tensors.
            self._micro_batches = min(2 * self._micro_batches, len(batch[0]))
            gradients.reset()
            memory.release(self._device)
            self._record.progress.fact("micro_batches", self._micro_batches)
            self._record.log(f"out of memory; splitting batches into {self._micro_batches} parts")
        found = [tensor.grad for tensor in phase.parameters if tensor.grad is not None]
        norm = nn.utils.get_total_norm(found).to(self._device, torch.float32)
        if phase.max_norm < math.inf:
            nn.utils.clip_grads_with_norm_(phase.parameters, phase.max_norm, norm)
        phase.optimizer.step()
        numbers["gradient_norm"] = norm
        return {phase.curve(key): value for key, value in numbers.items()}

    def _compute(self, phase: Phase, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """Compute the gradients of a batch in `.grad`; return the phase's numbers."""
        phase.optimizer.zero_grad()
        numbers: dict[str, Tensor] = {}
        for part in zip(*(tensor.chunk(self._micro_batches) for tensor in batch), strict=True):
            share = len(part[0]) / len(batch[0])
            with autocast(self._device, self.mixed_precision):
                values = phase.loss(*part)
            if isinstance(values, Tensor):
                values = {"loss": values}
            (values["loss"] * share).backward()  # type: ignore[no-untyped-call]
            for key, value in values.items():
                number = value.detach().to(self._device, torch.float32) * share
                numbers[key] = numbers[key] + number if key in numbers else number
        return numbers

    def step_schedules(self) -> None:
        """Step the learning rate schedules."""
        for phase in self.phases:
            if phase.schedule is not None:
                phase.schedule.step()
