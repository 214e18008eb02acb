"""Whether the output for a scan depends on other scans: tested in every cell."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from harmbench.contracts.method import Method
from harmbench.contracts.task_data import TaskData
from harmbench.data.scans import Scans
from harmbench.errors import ContractError
from harmbench.execution.compute.apply import beside_slices, harmonized_by
from harmbench.execution.compute.invariants import batch_dependence

_SCANS = 2


@dataclass
class RepeatCheck:
    """Keeps the output for the first two test scans, and computes it again after all others.

    The second time the scans come in other batches: together if they came alone, else alone.
    A method that uses other scans of a batch, or that keeps state between batches, gives
    another output.

    Attributes
    ----------
    images
        The output for the first scans, `(S, H, W)` each.
    alone
        Whether the first scan came alone.
    """

    images: list[Tensor] = field(default_factory=list)
    alone: bool = True

    def add(self, harmonized: Scans) -> None:
        """Keep the output of a batch, if it has one of the first scans."""
        if not self.images:
            self.alone = len(harmonized) == 1
        self.images += [image.clone() for image in harmonized.images[: _SCANS - len(self.images)]]

    def check(
        self, method: Method, data: TaskData, seed: int, device: torch.device, *, together: bool
    ) -> None:
        """Harmonise the first scans again and compare.

        Parameters
        ----------
        method, data, seed, device
            As of the cell.
        together
            Whether two scans fit into memory.

        Raises
        ------
        ContractError
            If the output differs.
        """
        indices = list(range(len(self.images)))
        parts = [indices] if self.alone and together else [[index] for index in indices]
        for part in parts:
            source = data.test.load(part)
            shown = data.shown(method.needs)
            loaded = None if shown is None else shown.load(part)
            beside = beside_slices(method, data.test.subset(part), data.domain)
            again = harmonized_by(method, source, loaded, seed, device, beside)
            before = torch.stack([self.images[index] for index in part])
            violation = batch_dependence(before, again.images, device)
            if violation:
                raise ContractError(str(violation))
