"""The contract of a method that works on whole volumes, for plugin authors."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch

from harmbench.contracts.method import Method
from harmbench.data.scans import Scans
from harmbench.data.volumes import Array, VolumeScan, VolumeSet, VolumeSpace
from harmbench.errors import ContractError, DivergedError


@dataclass(frozen=True, eq=False)
class HarmonizedVolume:
    """A harmonised volume with a warning.

    Attributes
    ----------
    image
        `(X, Y, Z)`, as `VolumeMethod.harmonize` returns it.
    flag
        What the method warns of, such as another contrast; empty without a warning.
    """

    image: Array
    flag: str = ""


class VolumeMethod(Method):
    """A harmonisation method that receives whole scans, one at a time.

    It declares the same attributes as every `Method`, and `space`. In `fit`, the volumes of a
    scan set are `data.target.volumes(self.space)`, in the order of its subjects. The harness
    maps each result to the scoring grid by the same registration, interpolation and
    normalisation as the truth.

    Attributes
    ----------
    space
        The volumes that the method works on: the acquired space by default.
    """

    space: ClassVar[VolumeSpace] = VolumeSpace()

    @abstractmethod
    def harmonize(self, scan: VolumeScan) -> Array | HarmonizedVolume:
        """Harmonise one scan.

        Parameters
        ----------
        scan
            The whole scan, in the space that the method declares.

        Returns
        -------
        numpy.ndarray or HarmonizedVolume
            `(X, Y, Z)`, finite, on the voxels of the scan and on any scale. Voxels outside
            `scan.mask` are not scored.
        """

    @contextmanager
    def together(self, scans: VolumeSet) -> Iterator[None]:
        """Prepare for the harmonisation of several scans, which takes place inside the block.

        The harness calls it once for the test scans of a cell. A method that starts a program
        does so here once for all scans; most methods do not define it. `harmonize` must return
        the same result without it.

        Parameters
        ----------
        scans
            The scans, each read when it is used.
        """
        yield

    def forward(self, scans: Scans) -> Scans:
        """Harmonise the whole scans of a batch, and map the results to the grid.

        Parameters
        ----------
        scans
            Scans with `volumes`.

        Raises
        ------
        ContractError
            If a result has not the shape of its scan.
        DivergedError
            If a result is not finite.
        """
        if scans.volumes is None:
            raise ContractError(f"'{self.name}' needs whole volumes, and the scans have none")
        images, flags = torch.empty_like(scans.images), []
        for place in range(len(scans)):
            scan, volume = scans.volumes.open(place)
            result = self.harmonized(scan)
            images[place] = torch.from_numpy(volume.to_grid(result.image))
            flags.append(result.flag)
        images = torch.where(scans.masks, images, scans.images)
        return replace(scans, images=images, flags=tuple(flags))

    def harmonized(self, scan: VolumeScan) -> HarmonizedVolume:
        """Harmonise one scan, and check the result; see `harmonize` and `forward`."""
        answer = self.harmonize(scan)
        if not isinstance(answer, HarmonizedVolume):
            answer = HarmonizedVolume(answer)
        image = np.asarray(answer.image)
        if image.shape != scan.image.shape:
            raise ContractError(
                f"expected a volume of shape {scan.image.shape}, got {image.shape}; return the "
                "result on the voxels of the scan"
            )
        inside = image[scan.mask]
        if not np.isfinite(inside).all():
            raise DivergedError("the output has values that are not finite")
        return HarmonizedVolume(
            np.where(np.isfinite(image), image, 0).astype(np.float32), answer.flag
        )
