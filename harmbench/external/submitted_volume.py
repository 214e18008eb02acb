"""An image of a submission: read from its file, checked, and mapped to the grid."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from harmbench.contracts.needs import Needs
from harmbench.contracts.volume_method import VolumeMethod
from harmbench.data.prepared_volume import grid_volume_affine
from harmbench.data.scans import Grid
from harmbench.data.volumes import (
    Affine,
    Array,
    Mask,
    OpenVolume,
    VolumeScan,
    VolumeSource,
    VolumeSpace,
)
from harmbench.errors import BadScanError
from harmbench.preprocessing.geometry import displacement
from harmbench.preprocessing.nifti_read import Volume, load_volume

# Largest distance in mm between the corners of an image and of its scan. NIfTI stores affines
# as quaternions of single precision, which moves corners by less than a hundredth of this.
DISPLACEMENT = 0.1
# Smallest correlation of an image with its own scan inside the brain; see "What is checked" in
# docs/bring-submission.md for the measured correlations of right and wrong images.
CORRELATION = 0.85
# Largest intensity of an image on the grid, where scans lie in [0, 1] and results are clipped.
_BRIGHTEST = 1.5


@dataclass(frozen=True, kw_only=True)
class SubmittedVolume(VolumeSource):
    """An image of a submission in place of the scan that it was made from.

    Attributes
    ----------
    path
        The image.
    grid
        The scoring grid.
    """

    path: Path
    grid: Grid
    _acquired: VolumeSource | None = field(repr=False)
    _prepared: VolumeSource = field(repr=False)

    @property
    def has_head(self) -> bool:
        """False: only the brain of an image is used."""
        return False

    def open(self, space: VolumeSpace) -> OpenVolume:
        """Read and check the image.

        Parameters
        ----------
        space
            Not used: the image lies in the acquired space or on the grid.

        Raises
        ------
        BadScanError
            If the image cannot be read, is not finite, has the voxels of neither the scan nor
            the grid, or differs so much from the scan that it must be of another one.
        """
        image = load_volume(self.path)
        if image.facts.undefined is not None:
            count = np.count_nonzero(image.facts.undefined)
            raise BadScanError(f"it has non-finite voxels (NaN or infinity): {count}")
        scan = self._scan_of(image)
        self._require_same_anatomy(image.data, scan)
        return replace(scan, image=image.data)

    def _scan_of(self, image: Volume) -> OpenVolume:
        """Return the scan on the voxels of the image."""
        S, H, W = self.grid.shape
        off_grid = _fault(image, (H, W, S), grid_volume_affine(self.grid), "the grid")
        if off_grid is None:
            self._require_range(image.data)
            return self._prepared.open(VolumeSpace())
        if self._acquired is None:
            raise BadScanError(off_grid)
        scan = self._acquired.open(VolumeSpace())
        fault = _fault(image, scan.image.shape, scan.affine, "its scan")
        if fault is not None:
            raise BadScanError(fault)
        return scan

    def _require_range(self, image: Array) -> None:
        if image.max() > _BRIGHTEST:
            raise BadScanError(
                f"it has intensities up to {image.max():g}; images on the grid must lie in [0, 1]"
            )

    def _require_same_anatomy(self, image: Array, scan: OpenVolume) -> None:
        value = correlation(image, scan.image, scan.mask)
        if math.isnan(value):
            raise BadScanError("it is constant inside the brain")
        if value < CORRELATION:
            raise BadScanError(
                f"its correlation with the scan is {value:.2f}, below {CORRELATION:g}; is it of "
                "another subject?"
            )


class SubmissionRow(VolumeMethod):
    """The row of a submission: its images are read in place of the scans, and returned."""

    name = "submitted"
    summary = "images that were harmonised elsewhere"
    needs = Needs.NOTHING

    def harmonize(self, scan: VolumeScan) -> Array:
        """Return the submitted image of a scan."""
        return scan.image


def correlation(image: Array, scan: Array, mask: Mask) -> float:
    """Return the correlation of two volumes inside the brain; NaN if one is constant."""
    first, second = image[mask].astype(np.float64), scan[mask].astype(np.float64)
    if not first.size or np.ptp(first) == 0 or np.ptp(second) == 0:
        return math.nan
    return float(np.corrcoef(first, second)[0, 1])


def _fault(image: Volume, shape: tuple[int, ...], affine: Affine, place: str) -> str | None:
    """Return how the voxels of an image differ from those of a place, or None."""
    if image.data.shape != shape:
        return f"it has shape {image.data.shape}, and {place} {shape}"
    moved = displacement(image.affine, affine, shape)
    if moved > DISPLACEMENT:
        return f"its affine is displaced from {place} by {moved:.1f} mm"
    return None
