"""Deformation of scans: voxel p of the result is sampled at p + u(p); lengths are in mm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from harmbench import Grid, ScanSet

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class LabelledScan:
    """A scan to deform, and the labels that say where its structures are.

    Attributes
    ----------
    scans, labels
        The scans, and scans of the same subjects in the same space with tissue labels.
    number
        The number of the scan in both.
    """

    scans: ScanSet
    labels: ScanSet
    number: int

    @property
    def digests(self) -> tuple[str, str]:
        """Content hashes of the scan and of the one with the labels."""
        return self.scans.subset([self.number]).digest, self.labels.subset([self.number]).digest

    def load(self) -> tuple[Tensor, Mask, npt.NDArray[np.uint8]]:
        """Return image, mask and labels, `(S, H, W)` each."""
        scan, labels = self.scans.load([self.number]), self.labels.load([self.number]).labels
        assert labels is not None
        return scan.images[0], scan.masks[0].numpy(), labels[0].numpy()


def warped(volume: Tensor, displacement: Array, grid: Grid) -> Tensor:
    """Sample a volume at displaced voxels, by linear interpolation.

    Parameters
    ----------
    volume
        `(S, H, W)` float32.
    displacement
        `(3, S, H, W)` in mm along slices, rows and columns.
    grid
        The grid of the volume.
    """
    voxels = np.indices(grid.shape, np.float32)
    spacing, shape = (
        np.array(v, np.float32)[:, None, None, None] for v in (grid.spacing, grid.shape)
    )
    scaled = 2 * (voxels + displacement / spacing) / (shape - 1) - 1
    places = torch.from_numpy(np.ascontiguousarray(scaled[::-1].transpose(1, 2, 3, 0)))
    sampled: Tensor = functional.grid_sample(
        volume[None, None], places[None], align_corners=True, padding_mode="border"
    )
    return sampled[0, 0]


def signed_distance(region: Mask, grid: Grid) -> Array:
    """Return the distance to the surface of a region in mm, negative inside: `(S, H, W)`."""
    outside = ndimage.distance_transform_edt(~region, sampling=grid.spacing)
    inside = ndimage.distance_transform_edt(region, sampling=grid.spacing)
    distance: Array = (outside - inside).astype(np.float32)
    return distance


def smoothed(volume: npt.NDArray[np.generic], millimetres: float, grid: Grid) -> Array:
    """Smooth a volume by a Gaussian of this standard deviation."""
    sigma = [millimetres / step for step in grid.spacing]
    result: Array = ndimage.gaussian_filter(np.asarray(volume, np.float32), sigma)
    return result


def gradient(volume: Array, grid: Grid) -> Array:
    """Return the gradient per mm: `(3, S, H, W)`."""
    slopes = [np.gradient(volume, step, axis=axis) for axis, step in enumerate(grid.spacing)]
    return np.stack(slopes).astype(np.float32)


def fade(mask: Mask, grid: Grid, reach: float) -> Array:
    """Return a weight that falls from 1 to 0 over `reach` mm towards the edge of the brain.

    The ends of the stack are no edge of the brain.
    """
    padded = np.pad(mask, ((1, 1), (0, 0), (0, 0)), mode="edge")
    depth = ndimage.distance_transform_edt(padded, sampling=grid.spacing)[1:-1]
    weight: Array = np.clip(depth / reach, 0, 1).astype(np.float32)
    return weight
