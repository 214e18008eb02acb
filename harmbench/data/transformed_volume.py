"""A whole scan with a simulated shift."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np

from harmbench.data.scans import Grid
from harmbench.data.volumes import OpenVolume, VolumeSource, VolumeSpace, VolumeTransform

_PERCENTILE = 99.5  # of the brain: the intensity that becomes 1 before the shift


@dataclass(frozen=True, kw_only=True)
class TransformedVolume(VolumeSource):
    """A whole scan that is shifted whenever it is read, before it is mapped to the grid.

    Intensities are scaled to [0, 1] by the brain's 99.5th percentile before the shift.

    Attributes
    ----------
    grid
        The grid of the cohort.
    """

    grid: Grid
    _source: VolumeSource = field(repr=False)
    _transform: VolumeTransform = field(repr=False)
    _scan: int = field(repr=False)

    @property
    def has_head(self) -> bool:
        """False: the shift is defined inside the brain."""
        return False

    @property
    def file_name(self) -> str:
        """Name of the file of the unshifted scan."""
        return self._source.file_name

    def open(self, space: VolumeSpace) -> OpenVolume:
        """Read and shift the volume; see `VolumeSource.open`."""
        volume = self._source.open(space)
        to_index = np.linalg.inv(self.grid.affine) @ volume.to_mni @ volume.affine
        mask = self._transform.mask_on_volume(volume.mask, to_index)
        image = np.where(mask, volume.image, np.float32(0))
        top = float(np.percentile(image[mask], _PERCENTILE)) or 1.0
        image = (image / np.float32(top)).clip(0, 1)
        shifted = self._transform.on_volume(image, mask, to_index, self._scan)
        return dataclasses.replace(volume, image=shifted, mask=mask)
