"""The training loop of all learned methods; it goes on where a killed one stopped."""

from __future__ import annotations

import contextlib
import math
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from harmbench.contracts.fit_progress import FitProgress
from harmbench.errors import DivergedError
from harmbench.training.batches import Batches
from harmbench.util import memory
from harmbench.util.hashing import digest
from harmbench.util.precision import autocast, has_bfloat16

# Losses stay on a GPU for this number of steps, since reading one makes the host wait.
STEPS_BETWEEN_LOOKS = {"cuda": 20}
# Points of a curve of the loss; each is the mean over the steps since the last one.
POINTS = 50


class Stateful(Protocol):
    """Anything whose state can be kept: modules, optimisers, an image pool."""

    def state_dict(self) -> Any:
        """Return the state: tensors, numbers, texts, and lists and dicts of them."""
        ...

    def load_state_dict(self, state: Any) -> Any:
        """Take a state back."""
        ...


@dataclass(frozen=True, kw_only=True)
class Phase:
    """What is done with every batch: one loss, and one optimiser that lowers it.

    Attributes
    ----------
    loss
        From the tensors of a batch to the loss, or to a mapping in which it is `"loss"`;
        the mapping's other numbers are recorded as curves, too. All are means over slices.
    optimizer
        Holds the parameters to be changed.
    schedule
        Of the learning rate, stepped once a training step; constant if None.
    max_norm
        Gradients are scaled down to this norm; not at all if infinite.
    name
        Says in front of its curves which phase they are of; needed if there are several.
    """

    loss: Callable[..., Tensor | Mapping[str, Tensor]]
    optimizer: Optimizer
    schedule: LRScheduler | None = None
    max_norm: float = math.inf
    name: str = ""

    @property
    def parameters(self) -> list[Tensor]:
        """The parameters that the phase changes."""
        return [tensor for group in self.optimizer.param_groups for tensor in group["params"]]

    def curve(self, name: str) -> str:
        """Return the name of a curve of this phase."""
        return f"{self.name}.{name}" if self.name else name


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
    """Train `module`, and leave it in eval mode, in the state that validated best.

    Checkpoints are kept in `progress` now and then. A training that was killed and is
    started again goes on from the last one, and on the same number of threads of a CPU it
    ends, to the last bit, where it would have ended: the checkpoint holds the states of
    the module, the batches, the optimisers and their schedules, torch's own random
    streams, and whatever `keep` names. What else the losses change or draw from, such as
    Python's `random`, is not restored.

    Recorded are curves of the losses, of the gradients' norm before clipping, of the
    learning rate and of the validation, and the facts `slices_per_second`, without
    validation and checkpoints; `peak_memory_mib`, the device's, or on a CPU that of the
    process so far; `steps_done`; `resumed_at` after a kill; and `mixed_precision`, if asked
    for, whether the hardware has it.

    Parameters
    ----------
    module
        What is trained and stored; its parameters say which device is used. Often the
        method itself.
    batches
        Where batches come from; most often `SliceBatches`.
    phases
        Applied to every batch, in their order. While one is, the parameters that only
        others change are frozen: a generator's loss costs no gradients of discriminators.
    progress
        As handed to `Method.fit`.
    name
        Of the training, for what is shown; two in one fit need two names.
    steps
        Number of batches.
    keep
        What else must survive a kill: modules that are trained but not stored, image
        pools, generators that losses draw noise from.
    validate
        Measures the module, in eval mode and without gradients; lower is better. The last
        state stays if it is None or never gave a finite number.
    validate_every
        Steps between validations; the last step has one in any case.
    micro_batches
        In how many parts a batch goes through, their gradients summed, to save memory; twice
        as many, and a fact of that name, whenever memory runs out.
    mixed_precision
        Run the losses under `autocast`, where the hardware has bfloat16.
    measure
        What the loss of a nameless phase and the validation are, for what is shown.

    Returns
    -------
    float or None
        The best validation.

    Raises
    ------
    DivergedError
        If a loss or its gradient is not finite.
    """
    phases = (phases,) if isinstance(phases, Phase) else tuple(phases)
    if len({phase.name for phase in phases}) < len(phases):
        raise ValueError("phases need names that differ")
    run = _Run(
        module=module,
        batches=batches,
        phases=phases,
        progress=progress,
        name=name,
        steps=steps,
        keep=keep,
        validate=validate,
        validate_every=validate_every,
        micro_batches=micro_batches,
        mixed_precision=mixed_precision,
        measure=measure,
    )
    run.restore()
    try:
        run.complete()
    finally:
        run.record_facts()
    return run.choose()


class _Averages:
    """Means of numbers over the steps of a window; the device is asked for many at once."""

    def __init__(self) -> None:
        self._unread: list[tuple[int, dict[str, Tensor]]] = []
        self.sums: dict[str, float] = {}
        self.counts: dict[str, int] = {}

    def add(self, step: int, numbers: dict[str, Tensor]) -> None:
        """Take the numbers of a step, wherever they lie."""
        self._unread.append((step, numbers))

    def read(self) -> list[tuple[int, dict[str, float]]]:
        """Read what was added since the last time, and return it by step."""
        if not self._unread:
            return []
        flat = torch.stack([value for _, numbers in self._unread for value in numbers.values()])
        values = iter(flat.tolist())
        steps = [(step, {key: next(values) for key in numbers}) for step, numbers in self._unread]
        self._unread = []
        for _, numbers in steps:
            for key, value in numbers.items():
                self.sums[key] = self.sums.get(key, 0.0) + value
                self.counts[key] = self.counts.get(key, 0) + 1
        return steps

    def close(self) -> dict[str, float]:
        """Return the means over the window, and begin another."""
        means = {key: total / self.counts[key] for key, total in self.sums.items()}
        self.sums, self.counts = {}, {}
        return means


@dataclass(kw_only=True)
class _Run:
    """A training under way; its fields are the arguments of `train`, and what changes."""

    module: nn.Module
    batches: Batches
    phases: tuple[Phase, ...]
    progress: FitProgress
    name: str
    steps: int
    keep: Sequence[Stateful | torch.Generator]
    validate: Callable[[], float] | None
    validate_every: int
    micro_batches: int
    mixed_precision: bool
    measure: str

    step: int = 0
    best: float = math.inf
    best_step: int = 0
    best_state: dict[str, Tensor] = field(default_factory=dict)
    averages: _Averages = field(default_factory=_Averages)
    seconds: float = 0.0
    slices: int = 0

    def __post_init__(self) -> None:
        self.device = next(self.module.parameters()).device
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        self.frozen = [self._only_of_others(phase) for phase in self.phases]
        # In the name: a checkpoint is not met by a training that it would not fit.
        shapes = {name: list(value.shape) for name, value in self.module.state_dict().items()}
        layout = (self.device.type, self.steps, shapes, len(self.phases), len(self.keep))
        self.checkpoint = f"{self.name}-{digest(layout)}"

    def _only_of_others(self, phase: Phase) -> list[Tensor]:
        own = set(phase.parameters)
        others = {tensor for other in self.phases for tensor in other.parameters} - own
        return [tensor for tensor in others if tensor.requires_grad]

    def complete(self) -> None:
        """Do the steps that are left."""
        self._train_mode()
        began = f" from step {self.step + 1}" if self.step else ""
        window = math.ceil(self.steps / POINTS)
        saved = time.monotonic()
        left = range(self.step + 1, self.steps + 1)
        for step in self.progress.track(left, f"{self.name}: training{began}"):
            last = step == self.steps
            start = time.perf_counter()
            self._advance(step)
            validates = self.validate is not None and (last or step % self.validate_every == 0)
            closes = last or step % window == 0
            saves = last or time.monotonic() - saved >= self.progress.checkpoint_seconds
            looks = step % STEPS_BETWEEN_LOOKS.get(self.device.type, 1) == 0
            if looks or validates or closes or saves:
                # Before anything is kept: what has run away is neither the best nor saved.
                self._look()
            self.seconds += time.perf_counter() - start
            if closes:
                self.progress.curve(step, **self.averages.close(), **self._rates())
            if validates:
                self._validate()
            for phase in self.phases:
                if phase.schedule is not None:
                    phase.schedule.step()
            if saves:
                self.progress.save(self._state(), self.checkpoint)
                saved = time.monotonic()

    def _advance(self, step: int) -> None:
        batch = self.batches.draw()
        numbers: dict[str, Tensor] = {}
        for phase, others in zip(self.phases, self.frozen, strict=True):
            with _frozen(others):
                numbers |= self._apply(phase, batch)
        self.averages.add(step, numbers)
        self.step = step
        self.slices += len(batch[0])

    def _apply(self, phase: Phase, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """Change the phase's parameters, and return its numbers by curve.

        A batch for which there is no memory goes through in twice as many parts from then on.
        """
        while True:
            try:
                numbers = self._gradients(phase, batch)
                break
            except Exception as error:
                if not memory.ran_out(error) or self.micro_batches >= len(batch[0]):
                    raise
            # Here, where the error and all that it holds on to are gone.
            self.micro_batches = min(2 * self.micro_batches, len(batch[0]))
            memory.release(self.device)
            self.progress.fact("micro_batches", self.micro_batches)
            self.progress.log(
                f"{self.name}: out of memory; batches go through in {self.micro_batches} parts"
            )
        gradients = [tensor.grad for tensor in phase.parameters if tensor.grad is not None]
        norm = nn.utils.get_total_norm(gradients).to(self.device, torch.float32)
        if phase.max_norm < math.inf:
            nn.utils.clip_grads_with_norm_(phase.parameters, phase.max_norm, norm)
        phase.optimizer.step()
        return {
            phase.curve(key): value for key, value in (numbers | {"gradient_norm": norm}).items()
        }

    def _gradients(self, phase: Phase, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """Leave the gradients of a batch with the parameters, and return the phase's numbers."""
        phase.optimizer.zero_grad()
        numbers: dict[str, Tensor] = {}
        for part in zip(*(tensor.chunk(self.micro_batches) for tensor in batch), strict=True):
            share = len(part[0]) / len(batch[0])
            with autocast(self.device, self.mixed_precision):
                values = phase.loss(*part)
            if isinstance(values, Tensor):
                values = {"loss": values}
            (values["loss"] * share).backward()  # type: ignore[no-untyped-call]
            for key, value in values.items():
                number = value.detach().to(self.device, torch.float32) * share
                numbers[key] = numbers[key] + number if key in numbers else number
        return numbers

    def _look(self) -> None:
        """Read the losses, show the last, and see to it that all are finite."""
        for step, numbers in self.averages.read():
            for phase in self.phases:
                loss, norm = (numbers[phase.curve(key)] for key in ("loss", "gradient_norm"))
                if not (math.isfinite(loss) and math.isfinite(norm)):
                    self.progress.curve(step, **numbers)
                    raise DivergedError(
                        f"{self.name}: diverged at training step {step} "
                        f"({phase.name or self.measure} {loss:.4g}, gradient norm {norm:.2g})"
                    )
            shown = [
                f"{p.name or self.measure} {numbers[p.curve('loss')]:.4g}" for p in self.phases
            ]
            speed = f"{self.slices / self.seconds:.0f} slices/s" if self.seconds else ""
            self.progress.note(", ".join([*shown, *([speed] if speed else [])]))

    def _rates(self) -> dict[str, float]:
        return {
            phase.curve("learning_rate"): float(phase.optimizer.param_groups[0]["lr"])
            for phase in self.phases
        }

    def _validate(self) -> None:
        assert self.validate is not None
        self.module.eval()
        with torch.no_grad():
            value = self.validate()
        self._train_mode()
        self.progress.curve(self.step, validation=value)
        if value < self.best:
            self.best, self.best_step = value, self.step
            state = self.module.state_dict()
            self.best_state = {name: tensor.clone() for name, tensor in state.items()}

    def _train_mode(self) -> None:
        for module in (self.module, *self.keep):
            if isinstance(module, nn.Module):
                module.train()

    def choose(self) -> float | None:
        """Put the module into the state that validated best; return that validation."""
        self.module.eval()
        if not self.best_state:
            return None
        self.module.load_state_dict(self.best_state)
        self.progress.log(
            f"{self.name}: {self.measure} {self.best:.4g} on validation, "
            f"at step {self.best_step} of {self.steps}"
        )
        return self.best

    def record_facts(self) -> None:
        """Record how fast it was and what it took."""
        if self.seconds:
            self.progress.fact("slices_per_second", self.slices / self.seconds)
        self.progress.fact("peak_memory_mib", _peak_bytes(self.device) / 2**20)
        self.progress.fact("steps_done", self.step)
        if self.mixed_precision:
            self.progress.fact("mixed_precision", has_bfloat16(self.device))

    def _state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "module": self.module.state_dict(),
            "batches": self.batches.state_dict(),
            "optimizers": [phase.optimizer.state_dict() for phase in self.phases],
            "schedules": [phase.schedule and phase.schedule.state_dict() for phase in self.phases],
            "keep": [
                thing.get_state() if isinstance(thing, torch.Generator) else thing.state_dict()
                for thing in self.keep
            ],
            "random": torch.get_rng_state(),
            "cuda_random": (
                torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None
            ),
            "best": (self.best, self.best_step, self.best_state),
            "averages": (self.averages.sums, self.averages.counts),
            "speed": (self.seconds, self.slices),
        }

    def restore(self) -> None:
        """Go on from the checkpoint, if there is one."""
        state = self.progress.saved(self.checkpoint)
        if state is None:
            return
        self.step = state["step"]
        self.module.load_state_dict(state["module"])
        self.batches.load_state_dict(state["batches"])
        for phase, optimizer, schedule in zip(
            self.phases, state["optimizers"], state["schedules"], strict=True
        ):
            phase.optimizer.load_state_dict(optimizer)
            if phase.schedule is not None:
                phase.schedule.load_state_dict(schedule)
        for thing, kept in zip(self.keep, state["keep"], strict=True):
            if isinstance(thing, torch.Generator):
                thing.set_state(kept)
            else:
                thing.load_state_dict(kept)
        torch.set_rng_state(state["random"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda_random"], self.device)
        self.best, self.best_step, best_state = state["best"]
        self.best_state = {name: value.to(self.device) for name, value in best_state.items()}
        self.averages.sums, self.averages.counts = state["averages"]
        self.seconds, self.slices = state["speed"]
        self.progress.fact("resumed_at", self.step)
        self.progress.log(f"{self.name}: resuming at step {self.step} of {self.steps}")


@contextlib.contextmanager
def _frozen(parameters: Sequence[Tensor]) -> Iterator[None]:
    """Compute no gradients of parameters within a block."""
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def _peak_bytes(device: torch.device) -> int:
    """Return the most memory that torch had on a GPU, or that the process had."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
