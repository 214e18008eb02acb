"""Ventricles that a deformation enlarges to a given volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor

from harmbench import Grid, digest

from .deformation import LabelledScan, fade, gradient, signed_distance, smoothed, warped

CSF = 1  # value of the tissue labels
# In MNI152, mm: the lateral ventricles lie within the box, and reach into its core. x, y and z.
BOX = ((-32.0, 32.0), (-60.0, 40.0), (-8.0, 36.0))
CORE = ((-18.0, 18.0), (-40.0, 25.0), (4.0, 28.0))
REACH = 35.0  # mm: how far from the ventricles tissue moves
EDGE = 12.0  # mm: tissue moves less towards the edge of the brain
SMOOTH = 2.0  # mm: of the distance, so that tissue moves smoothly
FLUID_PERCENTILE = 3.0  # of the brain's intensities, where a ventricle is too thin to measure

Mask = npt.NDArray[np.bool_]


def inside_box(box: tuple[tuple[float, float], ...], grid: Grid) -> Mask:
    """Return which voxels lie in a box of MNI152: `(S, H, W)`."""
    _, H, W = grid.shape
    x0, y0, _ = grid.origin
    places = (
        x0 + grid.spacing[1] * np.arange(H),
        y0 + grid.spacing[2] * np.arange(W),
        np.array(grid.positions),
    )
    x, y, z = (
        (low <= place) & (place <= high) for place, (low, high) in zip(places, box, strict=True)
    )
    return z[:, None, None] & x[:, None] & y


def ventricle_box(grid: Grid) -> Tensor:
    """Return which voxels may be ventricles, by their place alone: `(S, H, W)` bool."""
    return torch.from_numpy(inside_box(BOX, grid))


def ventricles(labels: npt.NDArray[np.uint8], grid: Grid) -> Mask:
    """Return the ventricles: fluid that is connected to the middle of the brain, `(S, H, W)`."""
    components, _ = ndimage.label((labels == CSF) & inside_box(BOX, grid))
    reached = np.unique(components[inside_box(CORE, grid)])
    return np.isin(components, reached[reached > 0])


@dataclass(frozen=True)
class EnlargedVentricles:
    r"""Enlarge the ventricles of a scan to a volume; a change of slices.

    With the distance d to the ventricles, their surface moves outward by a, where as many voxels
    have d < a as the volume has. Tissue at the distance :math:`d_0` moves to

    .. math::
        d = d_0 + a (1 - d_0 / R)_+ ,

    R being `REACH`, and less towards the edge of the brain. Fluid fills what opens.

    Attributes
    ----------
    scan
        The scan, and its labels.
    volume
        In ml; a scan with larger ventricles stays as it is.
    """

    scan: LabelledScan
    volume: float

    @property
    def digest(self) -> str:
        """Content hash of the parameters and of the scans."""
        return digest("ventricles", self.scan.digests, self.volume, BOX, CORE, REACH, EDGE, SMOOTH)

    def __call__(self, images: Tensor, masks: Tensor, index: Tensor) -> Tensor:
        """Enlarge the ventricles; see `SliceChange`."""
        (image, mask, labels), grid = self.scan.load(), self.scan.scans.grid
        distance = signed_distance(ventricles(labels, grid), grid)
        voxels = round(1000 * self.volume / float(np.prod(grid.spacing)))
        nearest = np.sort(distance, axis=None)
        moved = float(nearest[min(voxels, nearest.size - 1)])
        if moved <= 0:
            return images
        moved = min(moved, REACH / 2)  # one to one
        level = _fluid(image.numpy(), mask, distance)
        smooth = smoothed(distance, SMOOTH, grid)
        before = np.where(smooth < moved, 0, (smooth - moved) / (1 - moved / REACH))
        shift = np.where(smooth < REACH, smooth - before, 0) * fade(mask, grid, EDGE)
        slope = gradient(smooth, grid)
        direction = slope / np.maximum(np.linalg.norm(slope, axis=0), 1e-3)
        tissue = warped(image, -shift.clip(min=0) * direction, grid)
        weight = torch.from_numpy(np.clip(0.5 + (moved - smooth) / 2, 0, 1) * mask).float()
        return torch.lerp(tissue, torch.full_like(tissue, level), weight)[index].where(
            masks, images
        )


def _fluid(image: npt.NDArray[np.float32], mask: Mask, distance: npt.NDArray[np.float32]) -> float:
    """Return the intensity of fluid: of the inside of the ventricles, if they have one."""
    inside = image[mask & (distance < -2)]
    if len(inside):
        return float(np.median(inside))
    return float(np.percentile(image[mask], FLUID_PERCENTILE))
