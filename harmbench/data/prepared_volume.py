"""A prepared scan as a volume: its slices on the grid, stacked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from harmbench.data.scans import Grid
from harmbench.data.volumes import (
    Affine,
    Array,
    Frame,
    Mask,
    OpenVolume,
    VolumeSource,
    VolumeSpace,
    template_lattice,
)
from harmbench.util.resample import resample_inside

# From axes (S, H, W) of the grid to (X, Y, Z) of a volume, and back.
_TO_VOLUME, _TO_GRID = (1, 2, 0), (2, 0, 1)


@dataclass(frozen=True, kw_only=True)
class PreparedVolume(VolumeSource):
    """The volume of a scan that has none on disk: its prepared slices, in [0, 1].

    It covers the grid alone. Results are clipped to [0, 1] and not normalised again, so that a
    method that returns its input changes nothing.

    Attributes
    ----------
    grid
        The grid that the slices lie on.
    """

    grid: Grid
    _load: Callable[[], tuple[Array, Mask]] = field(repr=False)

    @property
    def has_head(self) -> bool:
        """False: prepared scans are zero outside the brain."""
        return False

    def open(self, space: VolumeSpace) -> OpenVolume:
        """Read the slices."""
        slices, masks = self._load()
        image, affine = slices_as_volume(slices, self.grid)
        mask, _ = slices_as_volume(masks, self.grid)
        if space.frame is Frame.ACQUIRED:

            def from_acquired(output: Array) -> Array:
                return np.where(masks, output.transpose(_TO_GRID).clip(0, 1), 0)

            return OpenVolume(
                image=image.copy(),
                mask=mask.copy(),
                affine=affine,
                to_mni=np.eye(4),
                to_grid=from_acquired,
            )
        shape, lattice = template_lattice(space.spacing)
        values, fraction = resample_inside(image, mask, affine, lattice, shape)
        inside = fraction >= 0.5

        def from_template(output: Array) -> Array:
            return np.where(masks, from_lattice(output, inside, lattice, self.grid).clip(0, 1), 0)

        return OpenVolume(
            image=np.where(inside, values, np.float32(0)),
            mask=inside,
            affine=lattice,
            to_mni=np.eye(4),
            to_grid=from_template,
        )


def slices_as_volume(slices: npt.NDArray[Any], grid: Grid) -> tuple[npt.NDArray[Any], Affine]:
    """Return slices `(S, H, W)` on a grid as a volume `(H, W, S)`, and its matrix to MNI152."""
    return slices.transpose(_TO_VOLUME), grid_volume_affine(grid)


def grid_volume_affine(grid: Grid) -> Affine:
    """Return the `(4, 4)` matrix from index (row, column, slice) of a grid to MNI152 in mm."""
    return grid.affine[:, [1, 2, 0, 3]]


def from_lattice(output: Array, inside: Mask, lattice: Affine, grid: Grid) -> Array:
    """Map a result in MNI152 to a grid: `(S, H, W)`, without normalisation.

    Parameters
    ----------
    output, inside
        `(X, Y, Z)`: the result, and the brain.
    lattice
        `(4, 4)`: from voxel index to MNI152.
    grid
        The grid.
    """
    return resample_inside(np.where(inside, output, 0), inside, lattice, grid.affine, grid.shape)[0]
