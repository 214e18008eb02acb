"""The training loop of all learned methods.

An interrupted training resumes from its last checkpoint. On a CPU, with the same number of
threads, its result is then identical to the last bit; on a GPU it agrees to the order of atomic
additions, as two uninterrupted trainings do. The checkpoint contains the module, the batches,
the optimisers and their schedules, torch's random streams, and `keep`. Other state that a loss
changes or draws from, such as Python's `random`, is not restored.

Recorded curves: losses, norms of the gradients before clipping, learning rates, validation.
Recorded facts: `slices_per_second` without validation and checkpoints; `peak_memory_mib` of the
GPU, or of the whole process on a CPU; `steps_done`; `resumed_at` after an interruption;
`micro_batches` after running out of memory; and `mixed_precision`, whether the hardware
supports it, if requested.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

import torch
from torch import nn

from harmbench.contracts.fit_progress import FitProgress
from harmbench.training.batches import Batches
from harmbench.training.checkpoint import Checkpoint, Stateful
from harmbench.training.phase import Phase
from harmbench.training.training_record import TrainingRecord
from harmbench.training.updates import Updates
from harmbench.training.validation import Validation
from harmbench.util.hashing import digest
from harmbench.util.precision import has_bfloat16

# On a GPU losses are read every this many steps, because each transfer synchronises the host.
STEPS_BETWEEN_READS = {"cuda": 20}
# Number of points of a loss curve; each is the mean over the steps since the previous point.
POINTS = 50


def train(
    module: nn.Module,
    batches: Batches,
    phases: Phase | Sequence[Phase],
    progress: FitProgress,
    *,
    name: str,
    steps: int,
    keep: Sequence[Stateful | torch.Generator] = (),
    validate: Callable[[], float] | None = None,
    validate_every: int = 500,
    micro_batches: int = 1,
    mixed_precision: bool = False,
    measure: str = "loss",
) -> float | None:
    """Train `module`; leave it in eval mode, in the state with the best validation.

    Parameters
    ----------
    module, batches
        What to train, on its parameters' device, and the batches, usually `SliceBatches`.
    phases
        Applied to every batch in order, with parameters of only the other phases frozen.
    progress
        As passed to `Method.fit`; stores checkpoints, from which a killed fit resumes.
    name, steps
        Name of the training, unique within the fit, and number of batches.
    keep
        Further state for checkpoints: modules that are not stored, image pools, generators.
    validate, validate_every
        Evaluates the module in eval mode without gradients, lower is better; and the steps
        between validations. Without a finite validation the last state stays.
    micro_batches
        Parts that a batch is split into to save memory; doubled when memory runs out.
    mixed_precision
        Compute losses under `autocast` where the hardware supports bfloat16.
    measure
        Display name of the validation and of an unnamed phase's loss.

    Returns
    -------
    float or None
        The best validation.

    Raises
    ------
    DivergedError
        If a loss or a gradient is not finite.
    """
    phases = (phases,) if isinstance(phases, Phase) else tuple(phases)
    record = TrainingRecord(progress, name, measure, next(module.parameters()).device)
    generators = [
        part
        for part in keep
        if isinstance(part, torch.Generator) and part.device.type == record.device.type
    ]
    updates = Updates(phases, record, micro_batches, mixed_precision, generators)
    validation = Validation(module, record, validate, validate_every)
    return _Training(record, updates, validation).run(module, batches, keep, steps)


class _Training:
    """A training in progress: the steps and everything that happens between them."""

    def __init__(self, record: TrainingRecord, updates: Updates, validation: Validation) -> None:
        self._record = record
        self._updates = updates
        self._validation = validation

    def run(
        self,
        module: nn.Module,
        batches: Batches,
        keep: Sequence[Stateful | torch.Generator],
        steps: int,
    ) -> float | None:
        """Resume if there is a checkpoint, train, and load the best state."""
        record = self._record
        checkpoint = self._checkpoint(module, batches, keep, steps)
        if checkpoint.restore():
            record.progress.fact("resumed_at", record.step)
            record.log(f"resuming at step {record.step} of {steps}")
        modules = [module, *(part for part in keep if isinstance(part, nn.Module))]
        try:
            self._complete(modules, batches, checkpoint, steps)
        finally:
            record.finish()
            if self._updates.mixed_precision:
                record.progress.fact("mixed_precision", has_bfloat16(record.device))
        return self._validation.load_best(steps)

    def _checkpoint(
        self,
        module: nn.Module,
        batches: Batches,
        keep: Sequence[Stateful | torch.Generator],
        steps: int,
    ) -> Checkpoint:
        parts: dict[str, Stateful | torch.Generator] = {
            "module": module,
            "batches": batches,
            "record": self._record,
            "validation": self._validation,
        }
        for index, phase in enumerate(self._updates.phases):
            parts[f"optimizer-{index}"] = phase.optimizer
            if phase.schedule is not None:
                parts[f"schedule-{index}"] = phase.schedule
        parts |= {f"keep-{index}": part for index, part in enumerate(keep)}
        # Part of the name, so that a training of another layout does not load the checkpoint.
        shapes = {name: list(value.shape) for name, value in module.state_dict().items()}
        layout = digest((self._record.device.type, steps, shapes, sorted(parts)))
        name = f"{self._record.name}-{layout}"
        return Checkpoint(self._record.progress, name, parts, self._record.device)

    def _complete(
        self, modules: Sequence[nn.Module], batches: Batches, checkpoint: Checkpoint, steps: int
    ) -> None:
        """Run the remaining steps."""
        record, updates, validation = self._record, self._updates, self._validation
        _train_mode(modules)
        window = math.ceil(steps / POINTS)
        steps_between_reads = STEPS_BETWEEN_READS.get(record.device.type, 1)
        saved = time.monotonic()
        first = record.step + 1
        resumed = f" from step {first}" if record.step else ""
        description = f"{record.name}: training{resumed}"
        for step in record.progress.track(range(first, steps + 1), description):
            last = step == steps
            start = time.perf_counter()
            batch = batches.draw()
            record.add(updates.apply(batch), len(batch[0]))
            validates = validation.is_due(step, steps)
            closes = last or step % window == 0
            saves = last or time.monotonic() - saved >= record.progress.checkpoint_seconds
            if validates or closes or saves or step % steps_between_reads == 0:
                # Raises if the training diverged, before such a state is validated or saved.
                record.read(updates.phases)
            record.seconds += time.perf_counter() - start
            if closes:
                record.close_window(updates.phases)
            if validates:
                validation.validate()
                _train_mode(modules)
            updates.step_schedules()
            if saves:
                checkpoint.save()
                saved = time.monotonic()


def _train_mode(modules: Sequence[nn.Module]) -> None:
    for module in modules:
        module.train()
