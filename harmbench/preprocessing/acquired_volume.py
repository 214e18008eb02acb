"""A scan of a study as a volume: read from its file, mapped to the grid like the cohort's scans."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harmbench.data.prepared_volume import from_lattice
from harmbench.data.scans import Grid
from harmbench.data.volumes import (
    Affine,
    Array,
    Frame,
    OpenVolume,
    VolumeSource,
    VolumeSpace,
    template_lattice,
)
from harmbench.errors import BadScanError
from harmbench.preprocessing.bias_field import correct_bias_field
from harmbench.preprocessing.brain import Brain
from harmbench.preprocessing.masking import BrainSource, mask_scan
from harmbench.preprocessing.nifti_read import Volume, load_volume
from harmbench.preprocessing.normalization import normalization
from harmbench.preprocessing.normalization.base import Mask, Standard
from harmbench.preprocessing.registration import Registration
from harmbench.preprocessing.resampling import resample_brain
from harmbench.util.resample import resample, resample_inside


@dataclass(frozen=True, kw_only=True)
class AcquiredVolume(VolumeSource):
    """A scan on disk, with everything that its preparation depended on.

    Attributes
    ----------
    source
        The T1w volume, and how its brain is masked.
    registration
        The transform that the scan was prepared with: to the template, or by way of its partner.
    grid
        The grid of the cohort.
    home
        The folder that caches masks.
    normalization, standard
        How the cohort's intensities were normalised, and the learnt standard or `()`.
    n4
        Whether the bias field was corrected before. Volumes are corrected too.
    stripped
        Whether the file holds a brain without the head.
    """

    source: BrainSource
    registration: Registration
    grid: Grid
    home: Path
    normalization: str
    standard: Standard
    n4: bool
    stripped: bool

    @property
    def has_head(self) -> bool:
        """Whether the volume contains more than the brain."""
        return not self.stripped

    @property
    def file_name(self) -> str:
        """Name of the file of the scan."""
        return self.source.path.name

    def open(self, space: VolumeSpace) -> OpenVolume:
        """Read the volume.

        Raises
        ------
        BadScanError
            If the file cannot be read, or if the method needs a head and the file has none.
        """
        if space.head and self.stripped:
            raise BadScanError(f"{self.source.path.name} is brain-extracted; a head is needed")
        volume = load_volume(self.source.path)
        brain = mask_scan(volume, self.source, self.home).brain
        return self.of(volume, correct_bias_field(brain)[0] if self.n4 else brain, space)

    def of(self, volume: Volume, brain: Brain, space: VolumeSpace) -> OpenVolume:
        """Return the open volume of a scan that is in memory.

        Parameters
        ----------
        volume, brain
            The volume as read, and its brain as the cohort's scans are prepared.
        space
            The space.
        """
        data = brain.above_black(volume.data) if space.head else np.zeros_like(volume.data)
        data[brain.box][brain.mask] = brain.image.data[brain.mask]
        if space.frame is Frame.ACQUIRED:
            return self._acquired(data, volume.affine, brain)
        return self._in_template(Volume(data, volume.affine), brain, space)

    def _acquired(self, data: Array, affine: Affine, brain: Brain) -> OpenVolume:
        mask = np.zeros(data.shape, dtype=bool)
        mask[brain.box] = brain.mask

        def to_grid(output: Array) -> Array:
            part = np.where(brain.mask, output[brain.box], np.float32(0))
            result = Brain(Volume(part, brain.image.affine), brain.mask, brain.box)
            return self._normalized(*resample_brain(result, self.registration, self.grid))

        return OpenVolume(
            image=data, mask=mask, affine=affine, to_mni=self._to_mni, to_grid=to_grid
        )

    def _in_template(self, volume: Volume, brain: Brain, space: VolumeSpace) -> OpenVolume:
        shape, lattice = template_lattice(space.spacing)
        target = np.array(self.registration.matrix) @ lattice
        image = brain.image
        values, fraction = resample_inside(image.data, brain.mask, image.affine, target, shape)
        inside = fraction >= 0.5
        if space.head:
            head = resample(volume.data, volume.affine, target, shape)
            whole = np.where(inside, values, head)
        else:
            whole = np.where(inside, values, np.float32(0))
        _, on_grid = resample_brain(brain, self.registration, self.grid)

        def to_grid(output: Array) -> Array:
            result = from_lattice(output, inside, lattice, self.grid)
            return self._normalized(np.where(on_grid, result, np.float32(0)), on_grid)

        return OpenVolume(
            image=whole,
            mask=inside,
            affine=lattice,
            to_mni=np.eye(4),
            to_grid=to_grid,
        )

    @property
    def _to_mni(self) -> Affine:
        return np.linalg.inv(np.array(self.registration.matrix))

    def _normalized(self, image: Array, mask: Mask) -> Array:
        result: Array = normalization(self.normalization)(image, mask, self.standard)
        return result
