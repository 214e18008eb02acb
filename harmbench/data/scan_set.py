"""A lazy collection of prepared scans, read from memory maps as they are needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from harmbench.data.scans import Grid, Scans
from harmbench.util.hashing import digest


class Transform(Protocol):
    """A pure function of slices, whose randomness was drawn into parameters beforehand.

    `digest` identifies it by content: equal digests mean equal outputs.
    """

    @property
    def digest(self) -> str:
        """Content hash of the function and its parameters."""
        ...

    def __call__(self, images: Tensor, masks: Tensor, scan: Tensor, index: Tensor) -> Tensor:
        """Transform B slices.

        Parameters
        ----------
        images, masks
            `(B, H, W)` float32 in [0, 1], and bool.
        scan
            `(B,)` int64: which scan of the collection each slice belongs to.
        index
            `(B,)` int64: which slice of that scan it is, in [0, S).

        Returns
        -------
        Tensor
            `(B, H, W)` float32 in [0, 1].
        """
        ...


@dataclass(frozen=True)
class ScanKey:
    """Which scan this is, and the hashes of everything its image and its labels depend on."""

    subject: str
    session: str
    key: str
    labels: str = ""


@dataclass(frozen=True, kw_only=True)
class ScanSet:
    """An ordered collection of one domain's scans; nothing is read until it is asked for.

    Attributes
    ----------
    domain
        Name of the domain.
    grid
        The grid all scans lie on.
    scans
        Subject, session and content hash of each scan.
    rows
        Row of each scan in the domain's arrays.
    directory
        Where the arrays `images.npy`, `masks.npy` and, if labelled, `labels.npy` lie.
    labelled
        Whether every scan of the collection has tissue labels.
    transform
        Applied to slices as they are read, such as a simulated shift.
    """

    domain: str
    grid: Grid
    scans: tuple[ScanKey, ...]
    rows: tuple[int, ...]
    directory: Path
    labelled: bool = False
    transform: Transform | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def subjects(self) -> tuple[str, ...]:
        """The subject of each scan."""
        return tuple(scan.subject for scan in self.scans)

    @property
    def n_slices(self) -> int:
        """Number of slices of all scans together."""
        return len(self) * self.grid.shape[0]

    @property
    def digest(self) -> str:
        """Content hash of the prepared voxels, the order of the scans and the transform."""
        transform = None if self.transform is None else self.transform.digest
        return digest("scans", self.grid, self.scans, self.labelled, transform)

    def with_transform(self, transform: Transform) -> ScanSet:
        """Return the same scans with `transform` applied whenever they are read."""
        return replace(self, transform=transform)

    def without_labels(self) -> ScanSet:
        """Return the same scans without their labels, in content and in digest."""
        bare = tuple(replace(scan, labels="") for scan in self.scans)
        return replace(self, scans=bare, labelled=False)

    def subset(self, places: Sequence[int]) -> ScanSet:
        """Return the scans at `places`; not defined once a transform is set.

        Raises
        ------
        ValueError
            If a transform is set, since its parameters belong to the original places.
        """
        if self.transform is not None:
            raise ValueError("take the subset before setting the transform")
        return replace(
            self,
            scans=tuple(self.scans[i] for i in places),
            rows=tuple(self.rows[i] for i in places),
        )

    def _array(self, name: str) -> np.memmap:
        array = np.load(self.directory / f"{name}.npy", mmap_mode="r")
        assert isinstance(array, np.memmap)
        return array

    def load(self, places: Sequence[int]) -> Scans:
        """Read the scans at `places` into memory."""
        rows = [self.rows[i] for i in places]
        images = torch.from_numpy(self._array("images")[rows])
        masks = torch.from_numpy(self._array("masks")[rows]).bool()
        labels = torch.from_numpy(self._array("labels")[rows]) if self.labelled else None
        if self.transform is not None:
            N, S, H, W = images.shape
            scan = torch.as_tensor(list(places)).repeat_interleave(S)
            index = torch.arange(S).repeat(N)
            flat = self.transform(images.view(-1, H, W), masks.view(-1, H, W), scan, index)
            images = flat.view(N, S, H, W)
        return Scans(
            images=images,
            masks=masks,
            subjects=tuple(self.scans[i].subject for i in places),
            sessions=tuple(self.scans[i].session for i in places),
            positions=torch.tensor(self.grid.positions, dtype=torch.float32),
            labels=labels,
        )

    def batches(self, size: int = 1) -> Iterator[Scans]:
        """Read all scans in order, `size` at a time, so that memory does not grow with N."""
        for start in range(0, len(self), size):
            yield self.load(range(start, min(start + size, len(self))))

    def slices(self, indices: Tensor) -> Tensor:
        """Read slices by their flat index `scan * S + slice`.

        Parameters
        ----------
        indices
            `(B,)` int64 in [0, n_slices).

        Returns
        -------
        Tensor
            `(B, H, W)` float32 in [0, 1].
        """
        S = self.grid.shape[0]
        scan, index = indices // S, indices % S
        rows = np.asarray(self.rows)[scan.numpy()]
        images = torch.from_numpy(self._array("images")[rows, index.numpy()])
        if self.transform is not None:
            masks = torch.from_numpy(self._array("masks")[rows, index.numpy()]).bool()
            images = self.transform(images, masks, scan, index)
        return images

    def label_slices(self, indices: Tensor) -> Tensor:
        """Read the labels of slices by their flat index; see `slices`.

        Returns
        -------
        Tensor
            `(B, H, W)` uint8, as `Scans.labels`.

        Raises
        ------
        ValueError
            If the scans are not labelled.
        """
        if not self.labelled:
            raise ValueError(f"scans of '{self.domain}' have no labels")
        S = self.grid.shape[0]
        rows = np.asarray(self.rows)[(indices // S).numpy()]
        return torch.from_numpy(self._array("labels")[rows, (indices % S).numpy()])
