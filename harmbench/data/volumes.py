"""Whole scans, for methods that work on volumes instead of slices on the grid."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Affine = npt.NDArray[np.float64]


# MNI152 in mm, from the first to the last voxel centre along x, y and z: contains a whole head.
_LOW, _HIGH = (-96.0, -132.0, -78.0), (96.0, 96.0, 114.0)


class Frame(StrEnum):
    """The coordinate system of a volume.

    Attributes
    ----------
    ACQUIRED
        The scan's own voxels, with axes in the order right, anterior, superior.
    TEMPLATE
        MNI152, after one affine transform and one linear interpolation.
    """

    ACQUIRED = "acquired"
    TEMPLATE = "MNI152"


@dataclass(frozen=True, kw_only=True)
class VolumeSpace:
    """The volumes that a method works on.

    Attributes
    ----------
    frame
        The coordinate system.
    spacing
        Edge of a voxel in mm, in the frame `TEMPLATE`; not used in the frame `ACQUIRED`.
    head
        Whether the method needs the whole head. If not, voxels outside the brain are zero.
    """

    frame: Frame = Frame.ACQUIRED
    spacing: float = 1.0
    head: bool = False

    def __str__(self) -> str:
        part = "heads" if self.head else "brains"
        if self.frame is Frame.ACQUIRED:
            return f"{part} in the acquired space"
        return f"{part} in MNI152 at {self.spacing:g} mm"


@dataclass(frozen=True, eq=False, kw_only=True)
class VolumeScan:
    """One whole scan.

    Attributes
    ----------
    image
        `(X, Y, Z)` float32: intensities on the scan's own scale, which no normalisation has
        changed. The scans of a simulated task and of a cohort without volumes on disk lie in
        [0, 1]. Axes point to right, anterior, superior.
    mask
        `(X, Y, Z)` bool: the brain. Only voxels of the mask are scored.
    affine
        `(4, 4)`: from voxel index to millimetres of the frame.
    subject, session
        The names in fit data; pseudonyms in test scans.
    domain
        The domain, where the method may know it; else None.
    covariates
        The covariates that the method declares, by name: numbers and texts.
    """

    image: Array
    mask: Mask
    affine: Affine
    subject: str
    session: str
    domain: str | None = None
    covariates: Mapping[str, float | str] = field(default_factory=dict)

    @property
    def voxel_size(self) -> tuple[float, float, float]:
        """Edge lengths of a voxel in mm."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)


@dataclass(frozen=True, eq=False, kw_only=True)
class OpenVolume:
    """A scan that was read from its files, in one space.

    Attributes
    ----------
    image, mask, affine
        As of `VolumeScan`.
    to_mni
        `(4, 4)`: from millimetres of the frame to MNI152.
    to_grid
        Function from an image `(X, Y, Z)` on the same voxels to the cohort's grid:
        `(S, H, W)` float32 in [0, 1], prepared as the cohort's scans, zero outside the brain.
    """

    image: Array
    mask: Mask
    affine: Affine
    to_mni: Affine
    to_grid: Callable[[Array], Array]


class VolumeSource(ABC):
    """A whole scan on disk: it reads its volume, and maps a result back to the cohort's grid."""

    @property
    @abstractmethod
    def has_head(self) -> bool:
        """Whether the volume contains more than the brain."""

    @property
    def file_name(self) -> str:
        """Name of the file of the scan; empty where the scan has no volume on disk."""
        return ""

    @abstractmethod
    def open(self, space: VolumeSpace) -> OpenVolume:
        """Read the volume.

        Raises
        ------
        BadScanError
            If the files changed or cannot be read.
        """


class VolumeTransform(ABC):
    """A transform of slices that is also defined on whole volumes.

    The slices of `harmbench.data.transform.Transform` and the volumes are shifted by the same
    function of intensity and position.
    """

    @abstractmethod
    def on_volume(self, image: Array, mask: Mask, to_index: Affine, scan: int) -> Array:
        """Transform one volume.

        Parameters
        ----------
        image, mask
            `(X, Y, Z)` float32 in [0, 1], zero outside the brain; and the brain, bool.
        to_index
            `(4, 4)`: from voxel index to the index (slice, row, column) on the grid.
        scan
            Which scan of the collection it is.

        Returns
        -------
        numpy.ndarray
            `(X, Y, Z)` float32, not negative.
        """

    def mask_on_volume(self, mask: Mask, to_index: Affine) -> Mask:
        """Return the part of the brain that the transform is defined on; all of it by default.

        Parameters
        ----------
        mask, to_index
            As of `on_volume`, which receives the result.

        Returns
        -------
        numpy.ndarray
            `(X, Y, Z)` bool: the mask of the transformed volume.
        """
        return mask


@dataclass(frozen=True, eq=False)
class VolumeSet:
    """The whole scans of a scan set, in its order; each is read when it is used.

    Attributes
    ----------
    space
        The space that they are read in.
    """

    space: VolumeSpace
    _sources: Sequence[VolumeSource] = field(repr=False)
    _names: Sequence[Mapping[str, Any]] = field(repr=False)

    def __len__(self) -> int:
        return len(self._sources)

    def __getitem__(self, place: int) -> VolumeScan:
        return self.open(place)[0]

    def __iter__(self) -> Iterator[VolumeScan]:
        """Read the scans one by one, so that memory does not grow with their number."""
        for place in range(len(self)):
            yield self[place]

    def open(self, place: int) -> tuple[VolumeScan, OpenVolume]:
        """Read a scan; the second part maps a result to the grid."""
        volume = self._sources[place].open(self.space)
        scan = VolumeScan(
            image=volume.image,
            mask=volume.mask,
            affine=volume.affine,
            **self._names[place],
        )
        return scan, volume

    def renamed(self, names: Sequence[Mapping[str, Any]]) -> VolumeSet:
        """Return the same scans under other names: subject, session, domain, covariates."""
        return VolumeSet(self.space, self._sources, names)


def template_lattice(spacing: float) -> tuple[tuple[int, int, int], Affine]:
    """Return shape and matrix of the voxels of MNI152 at a spacing in mm.

    The matrix `(4, 4)` maps voxel index to MNI152. At 1 mm the shape is (193, 229, 193).
    """
    x, y, z = (
        int((high - low) / spacing + 1e-6) + 1 for low, high in zip(_LOW, _HIGH, strict=True)
    )
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = _LOW
    return (x, y, z), affine
