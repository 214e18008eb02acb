"""A training phase: one loss and the optimiser that lowers it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One loss and one optimiser, applied to every batch.

    Attributes
    ----------
    loss
        Function of the tensors of a batch. Returns the loss, or a mapping with the key
        `"loss"`, whose other numbers are recorded as curves too. All are means over slices.
    optimizer
        Holds the parameters to train.
    schedule
        Learning rate schedule, stepped once per training step; constant if None.
    max_norm
        Gradients are scaled down to this norm; no clipping if infinite.
    cuda_graph
        On a GPU, replay the loss and its gradients as a CUDA graph, which is faster for small
        networks. The loss must run the same operations for every batch of one shape, without
        reading a value on the host; what it draws must come from generators in `keep` or from
        torch's own.
    name
        Prefix of the phase's curves; required if there are several phases.
    """

    loss: Callable[..., Tensor | Mapping[str, Tensor]]
    optimizer: Optimizer
    schedule: LRScheduler | None = None
    max_norm: float = math.inf
    cuda_graph: bool = False
    name: str = ""

    @property
    def parameters(self) -> list[Tensor]:
        """The parameters that the phase trains."""
        return [tensor for group in self.optimizer.param_groups for tensor in group["params"]]

    def curve(self, name: str) -> str:
        """Return the full name of one of the phase's curves."""
        return f"{self.name}.{name}" if self.name else name


@contextlib.contextmanager
def frozen(parameters: Sequence[Tensor]) -> Iterator[None]:
    """Compute no gradients of these parameters within the block."""
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)
