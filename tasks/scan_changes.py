"""Test scans that are changed: several versions of each scan, each with a change of its own.

All parameters are drawn beforehand; the changes are pure functions of slices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor

from harmbench import ScanSet, Transform, VolumeTransform, digest

Array = npt.NDArray[np.float32]
Affine = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


_KEPT_BYTES = 2**27  # of changed scans in memory


class SliceChange(Protocol):
    """A change of the slices of one scan; `digest` identifies it by content."""

    @property
    def digest(self) -> str:
        """Content hash of the change and its parameters."""
        ...

    def __call__(self, images: Tensor, masks: Tensor, index: Tensor) -> Tensor:
        """Change B slices of the scan.

        Parameters
        ----------
        images, masks
            `(B, H, W)` float32 in [0, 1], and bool.
        index
            `(B,)` int64: the number of each slice.

        Returns
        -------
        Tensor
            `(B, H, W)` float32 in [0, 1].
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Changes(VolumeTransform):
    """A transform that changes each scan, before a shift of the scanner if there is one.

    Whole volumes are changed by what it adds to the slices, interpolated linearly, on the part
    of the brain that the slices cover. So a method on volumes receives the change that slices
    have, with the same noise, and its result is compared with the same source.

    Attributes
    ----------
    scans
        The scans before the change.
    changes
        The change of each scan; None leaves it as it is.
    shift
        A shift of scans that is applied after the change, or None.
    numbers
        The number of each scan in `shift`.
    """

    scans: ScanSet
    changes: tuple[SliceChange | None, ...]
    shift: Transform | None = None
    numbers: tuple[int, ...] = ()
    _kept: dict[int, Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def digest(self) -> str:
        """Content hash of all changes and of the shift."""
        shift = None if self.shift is None else (self.shift.digest, self.numbers)
        changes = [None if change is None else change.digest for change in self.changes]
        return digest("changes", changes, shift)

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields without the scans in memory, for other processes."""
        return {**self.__dict__, "_kept": {}}

    def __call__(self, images: Tensor, masks: Tensor, scan: Tensor, index: Tensor) -> Tensor:
        """Change slices `(B, H, W)`; see `harmbench.Transform`."""
        changed = torch.empty_like(images)
        for number in sorted(set(scan.tolist())):
            chosen = scan == number
            changed[chosen] = self._changed(number)[index[chosen]]
        return changed

    def _changed(self, number: int) -> Tensor:
        """Return a changed scan `(S, H, W)`, computed once while it is among the latest.

        The cells of all methods read the same scans, each several times.
        """
        if number not in self._kept:
            whole = self.scans.load([number])
            images, masks, index = (
                whole.images[0],
                whole.masks[0],
                torch.arange(len(whole.images[0])),
            )
            change = self.changes[number]
            if change is not None:
                images = change(images, masks, index)
            if self.shift is not None:
                scan = torch.full_like(index, self.numbers[number])
                images = self.shift(images, masks, scan, index)
            most = max(1, _KEPT_BYTES // (images.numel() * images.element_size()))
            while len(self._kept) >= most:
                del self._kept[next(iter(self._kept))]
            self._kept[number] = images
        return self._kept[number]

    def on_volume(self, image: Array, mask: Mask, to_index: Affine, scan: int) -> Array:
        """Change a volume; see `harmbench.VolumeTransform`."""
        added = self._changed(scan) - self.scans.load([scan]).images[0]
        on_voxels = ndimage.affine_transform(
            added.numpy(),
            to_index[:3, :3],
            to_index[:3, 3],
            output_shape=image.shape,
            order=1,
            mode="nearest",
        )
        changed: Array = np.where(mask, (image + on_voxels).clip(0), np.float32(0))
        return changed

    def mask_on_volume(self, mask: Mask, to_index: Affine) -> Mask:
        """Return the brain between the first and the last slice, and one slice beyond."""
        x, y, z = np.ogrid[tuple(slice(count) for count in mask.shape)]
        a, b, c, offset = to_index[0]
        number = a * x + b * y + c * z + offset
        covered: Mask = mask & (number >= -1) & (number <= self.scans.grid.shape[0])
        return covered


def versions(scans: ScanSet, names: Sequence[str]) -> ScanSet:
    """Return each scan once for every name, one after the other.

    The name is added to the session, since no two scans of a subject may share one.

    Parameters
    ----------
    scans
        Scans without a transform.
    names
        Letters and digits.
    """
    places = [place for place in range(len(scans)) for _ in names]
    repeated = scans.subset(places)
    keys = [
        replace(scan, session=f"{scan.session}{name}")
        for scan, name in zip(repeated.scans, list(names) * len(scans), strict=True)
    ]
    return replace(repeated, scans=tuple(keys))
