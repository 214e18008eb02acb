"""Scans, the grid they lie on, and slice-level normalisation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

if TYPE_CHECKING:
    import pandas as pd

    from harmbench.data.volumes import VolumeSet


@dataclass(frozen=True)
class Grid:
    """The stack of axial slices, in MNI152 space, on which every scan of a cohort lies.

    Array axes are slice, row and column: S runs from inferior to superior, H from left
    to right and W from posterior to anterior, so that a slice is `(H, W)`.

    Attributes
    ----------
    name
        `"paper"` or `"quick"`, or a name of the user's own.
    shape
        Slices, rows and columns `(S, H, W)`.
    spacing
        Distance of neighbours along each of those axes, in mm.
    centre
        MNI152 coordinates (x, y, z), in mm, of the middle of the grid.
    """

    name: str
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    centre: tuple[float, float, float] = (0.0, -17.0, 18.0)

    @classmethod
    def of(cls, written: Mapping[str, Any]) -> Self:
        """Return the grid that was written as JSON."""
        shape, spacing, centre = (tuple(written[name]) for name in ("shape", "spacing", "centre"))
        return cls(written["name"], shape, spacing, centre)

    @property
    def positions(self) -> tuple[float, ...]:
        """MNI152 z, in mm, of each slice: length S."""
        count, step = self.shape[0], self.spacing[0]
        return tuple(self.centre[2] + (i - (count - 1) / 2) * step for i in range(count))

    @property
    def origin(self) -> tuple[float, float, float]:
        """MNI152 coordinates (x, y, z), in mm, of voxel (0, 0, 0)."""
        _, H, W = self.shape
        return (
            self.centre[0] - (H - 1) / 2 * self.spacing[1],
            self.centre[1] - (W - 1) / 2 * self.spacing[2],
            self.positions[0],
        )

    @property
    def affine(self) -> npt.NDArray[np.float64]:
        """`(4, 4)`: from index (slice, row, column) to MNI152 x, y, z in mm."""
        ds, dh, dw = self.spacing
        x, y, z = self.origin
        return np.array([[0, dh, 0, x], [0, 0, dw, y], [ds, 0, 0, z], [0, 0, 0, 1]], np.float64)


# 1.2 mm and 50 slices a session: supplement, section 1 and the evaluation protocol.
# The quick grid keeps the same 50 slices and halves the resolution within them.
GRIDS = {
    "paper": Grid("paper", (50, 144, 176), (1.2, 1.2, 1.2)),
    "quick": Grid("quick", (50, 72, 88), (1.2, 2.4, 2.4)),
}


@dataclass(frozen=True, eq=False, kw_only=True)
class Scans:
    """A batch of N prepared scans; what methods are given and what they return.

    Attributes
    ----------
    images
        `(N, S, H, W)` float32 in [0, 1].
    masks
        `(N, S, H, W)` bool: the foreground, which is the brain.
    subjects
        The subject of each scan: length N.
    sessions
        The session of each scan: length N.
    positions
        `(S,)` float32: MNI152 z of each slice in mm.
    labels
        `(N, S, H, W)` uint8 with 0 background, 1 CSF, 2 grey and 3 white matter, or
        None where the scans are not labelled. Never shown to methods.
    predicted
        `(N, S, H, W)` uint8, labels that an instrument made of the images, where 0 is what it
        does not distinguish; None where none did.
    truth
        `(N, S, H, W)` float32, the paired truth; handed to `Needs.TRUTH` controls alone.
    repeat
        `(N, S, H, W)` float32, repeats on the target scanner; for `Needs.REPEAT` controls alone.
    flags
        What a method warns of about each scan, such as another contrast: length N, empty
        where there is nothing to say; None of a method that does not look.
    source
        `(N, S, H, W)` float32, of harmonised scans that are scored: their source.
    volumes
        The whole scans, for methods that work on volumes; None for all others.
    domain
        The domain of the scans, for methods that declare `Needs.SITES`; None for all others.
    covariates
        The covariates that the method declares, one row per scan, as of `ScanSet`; None for
        methods that declare none.
    """

    images: Tensor
    masks: Tensor
    subjects: tuple[str, ...]
    sessions: tuple[str, ...]
    positions: Tensor
    labels: Tensor | None = None
    truth: Tensor | None = None
    repeat: Tensor | None = None
    predicted: Tensor | None = None
    flags: tuple[str, ...] | None = None
    source: Tensor | None = None
    volumes: VolumeSet | None = None
    domain: str | None = None
    covariates: pd.DataFrame | None = None

    def __len__(self) -> int:
        return len(self.images)

    def with_images(self, images: Tensor) -> Scans:
        """Return the same scans with other images of the same shape."""
        return replace(self, images=images)

    def to(self, device: torch.device | str) -> Scans:
        """Return the scans with all tensors on `device`."""
        moved: dict[str, Any] = {
            item.name: value.to(device)
            for item in fields(self)
            if isinstance(value := getattr(self, item.name), Tensor)
        }
        return replace(self, **moved)


def minmax(images: Tensor) -> Tensor:
    """Scale every slice to [0, 1] by its own minimum and maximum (supplement, section 1).

    Parameters
    ----------
    images
        `(..., H, W)`; a constant slice becomes zero.

    Examples
    --------
    >>> minmax(torch.tensor([[[2.0, 4.0], [3.0, 6.0]]]))
    tensor([[[0.0000, 0.5000],
             [0.2500, 1.0000]]])
    """
    low = images.amin(dim=(-2, -1), keepdim=True)
    span = images.amax(dim=(-2, -1), keepdim=True) - low
    return (images - low) / torch.where(span > 0, span, torch.ones_like(span))
