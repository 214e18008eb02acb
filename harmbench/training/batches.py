"""Batches of slices, drawn from the files of scans or from a copy on the device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from harmbench.data.scan_set import ScanSet
from harmbench.util import memory

# On a CPU, a scan set whose slices are smaller than this in total stays in memory.
RESIDENT_BYTES = 1 << 30
_SLICES_PER_READ = 512


class Batches(Protocol):
    """An endless sequence of batches whose position can be saved and restored."""

    def draw(self) -> tuple[Tensor, ...]:
        """Return the next batch: tensors of equal length along their first axis."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return the position in the sequence."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a position in the sequence."""
        ...


def memory_budget(device: torch.device) -> int:
    """Return the maximum size in bytes of a scan set on `device`."""
    if device.type == "cuda":
        return memory.free_bytes(device) // 3
    return RESIDENT_BYTES


def slice_reader(scans: ScanSet, device: torch.device) -> Callable[[Tensor], Tensor]:
    """Return a function that reads slices by flat index, `(B,)` to `(B, H, W)` on `device`.

    If all slices fit on the device, they are read and transformed once, and stay there.
    """
    _, H, W = scans.grid.shape
    if scans.n_slices * H * W * 4 > memory_budget(device):
        return lambda indices: scans.slices(indices).to(device)
    resident = torch.empty(scans.n_slices, H, W, device=device)
    for start in range(0, scans.n_slices, _SLICES_PER_READ):
        part = torch.arange(start, min(start + _SLICES_PER_READ, scans.n_slices))
        resident[start : start + len(part)] = scans.slices(part).to(device)
    # Without blocking, the host does not wait for the device at every batch.
    return lambda indices: resident[indices.to(device, non_blocking=True)]


class SliceBatches:
    """Slices drawn at random, with replacement, from one or more scan sets.

    A batch is a tuple with one tensor `(B, H, W)` float32 in [0, 1] for each scan set.

    Parameters
    ----------
    scans
        The scan sets; none may be empty.
    size
        B, the number of slices per batch and scan set.
    device
        Device of the batches.
    generator
        Draws the indices, on the CPU so that batches are equal on every device; use
        `harmbench.torch_generator(data.seed, method, "batches")`.
    paired
        Whether slices with equal indices form pairs. If so, all sets use the same indices;
        otherwise, each set has its own.

    Raises
    ------
    ValueError
        If a set is empty, or paired sets differ in length.
    """

    def __init__(
        self,
        *scans: ScanSet,
        size: int,
        device: torch.device,
        generator: torch.Generator,
        paired: bool = False,
    ) -> None:
        self._counts = [part.n_slices for part in scans]
        if not all(self._counts):
            raise ValueError("a scan set has no slices")
        if paired and len(set(self._counts)) > 1:
            raise ValueError(f"paired sets must have equal lengths, not {self._counts} slices")
        self._readers = [slice_reader(part, device) for part in scans]
        self._size = size
        self._generator = generator
        self._paired = paired

    def draw(self) -> tuple[Tensor, ...]:
        """Return the next batch."""
        if self._paired:
            indices = [self._indices(self._counts[0])] * len(self._counts)
        else:
            indices = [self._indices(count) for count in self._counts]
        return tuple(read(part) for read, part in zip(self._readers, indices, strict=True))

    def _indices(self, count: int) -> Tensor:
        return torch.randint(count, (self._size,), generator=self._generator)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the generator."""
        return {"generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Set the state of the generator."""
        self._generator.set_state(state["generator"])
