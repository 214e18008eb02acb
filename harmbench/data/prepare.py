"""Preparing one volume: cutting out the brain, resampling onto the grid, normalisation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harmbench.data.cohort import DEFAULT_NORMALIZATION
from harmbench.data.io import MIN_BRAIN_LITRES, Affine, Array, Volume
from harmbench.errors import BadScanError

if TYPE_CHECKING:
    from harmbench.data.register import Registration
    from harmbench.scans import Grid

Normalize = Callable[[Array, npt.NDArray[np.bool_]], Array]

# Raised whenever the same file would give other voxels; registrations of before are not
# found any more then, and cohorts are prepared anew.
VERSION = 1


@dataclass(frozen=True, eq=False)
class Brain:
    """A brain cut out of its volume, or a head where heads are kept.

    Attributes
    ----------
    image
        The part of the volume around the brain, zero outside `mask`.
    mask
        `(X, Y, Z)` bool: the brain, holes filled and specks left out.
    box
        Where that part lies in the volume.
    """

    image: Volume
    mask: npt.NDArray[np.bool_]
    box: tuple[slice, slice, slice]

    def cut(self, data: Array) -> Array:
        """Cut the same part out of another volume on the same voxels."""
        return data[self.box]


@dataclass(frozen=True, eq=False)
class Prepared:
    """A scan on the grid.

    Attributes
    ----------
    image
        `(S, H, W)` float32 in [0, 1], zero outside the mask.
    mask
        `(S, H, W)` bool: the brain.
    labels
        `(S, H, W)` uint8, or None without labels.
    """

    image: Array
    mask: npt.NDArray[np.bool_]
    labels: npt.NDArray[np.uint8] | None


def extract(volume: Volume) -> Brain:
    """Cut the brain out of a brain-extracted volume.

    The mask is what is above zero, without specks apart from the brain and with its
    holes filled, since ventricles may hold zeros.
    """
    from scipy import ndimage

    above = volume.data > 0
    (box,) = ndimage.find_objects(above.astype(np.uint8))
    parts, _ = ndimage.label(above[box], structure=np.ones((3, 3, 3)))
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    mask = ndimage.binary_fill_holes((sizes > 0.05 * sizes.max())[parts])
    return _cut_out(volume, mask, box)


def foreground(volume: Volume, name: str) -> Brain:
    """Cut the head out of a volume: the brain with all that is around it, but not the air.

    The mask is the largest part above a quarter of Otsu's threshold (IEEE Trans Syst Man
    Cybern 1979;9:62-66), which lies well above the noise of air and below all tissue but
    bone and fluid. Those are filled in each axial slice: seen in three dimensions, they are
    open towards the neck.

    Raises
    ------
    BadScanError
        If there is nothing, or nothing that is as large as a brain.
    """
    from scipy import ndimage
    from skimage.filters import threshold_otsu

    if not (volume.data > 0).any():
        raise BadScanError(f"{name} is empty: no voxel is above zero")
    bright = np.minimum(volume.data, np.percentile(volume.data, 99.5))
    above = volume.data > threshold_otsu(bright) / 4
    # What is a voxel thick holds noise together, and is opened away.
    parts, _ = ndimage.label(ndimage.binary_opening(above))
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    head = parts == sizes.argmax()
    litres = sizes.max() * volume.voxel_volume / 1e6
    if litres < MIN_BRAIN_LITRES:
        raise BadScanError(f"{name} holds no head: its foreground has only {litres:.2f} litres")
    (box,) = ndimage.find_objects(head.astype(np.uint8))
    mask = ndimage.binary_closing(np.pad(head[box], 2), iterations=2)[2:-2, 2:-2, 2:-2]
    for place in range(mask.shape[2]):
        mask[:, :, place] = ndimage.binary_fill_holes(mask[:, :, place])
    return _cut_out(volume, mask, box)


def _cut_out(volume: Volume, mask: npt.NDArray[np.bool_], box: tuple[slice, slice, slice]) -> Brain:
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [side.start for side in box]
    return Brain(Volume(np.where(mask, volume.data[box], 0), affine), mask, box)


def resample(volume: Volume, target: Affine, shape: tuple[int, int, int]) -> Array:
    """Sample a volume on another lattice in one linear interpolation; zero outside it.

    Where the lattice is coarser than the volume, each of its voxels is the mean of
    samples spread evenly over the voxel, as a scanner's own voxel is, so that fine
    structure does not alias.

    Parameters
    ----------
    volume
        What to sample.
    target
        `(4, 4)`: from index on the lattice to the volume's millimetres.
    shape
        Of the lattice.
    """
    from scipy import ndimage

    matrix = np.linalg.inv(volume.affine) @ target
    steps = np.linalg.norm(matrix[:3, :3], axis=0)  # in voxels of the volume
    counts = np.maximum(1, np.rint(steps)).astype(int)
    spread = np.diag([*1 / counts, 1.0])
    spread[:3, 3] = (1 / counts - 1) / 2
    matrix = matrix @ spread
    fine = ndimage.affine_transform(
        volume.data,
        matrix[:3, :3],
        matrix[:3, 3],
        output_shape=tuple(np.multiply(shape, counts)),
        output=np.float32,
        order=1,
        mode="grid-constant",  # fades to zero over the last voxel's edge, and does not drop it
    )
    x, y, z = shape
    a, b, c = counts
    mean: Array = fine.reshape(x, a, y, b, z, c).mean(axis=(1, 3, 5))
    return mean


def prepare(
    brain: Brain,
    registration: Registration,
    grid: Grid,
    labels: tuple[Array, Array, Array] | None = None,
    normalize: Normalize | None = None,
) -> Prepared:
    """Bring a brain onto the grid and normalise it.

    Voxels at the brain's edge are the mean over the part of them that is brain, so that
    the edge is not darkened; a voxel belongs to the brain if at least half of it does.

    Parameters
    ----------
    brain, registration
        The brain and how it lies to MNI152.
    grid
        Where to bring it.
    labels
        For CSF, grey and white matter, 1 where it is and 0 elsewhere, on the brain's
        voxels. A voxel of the grid is what most of it is.
    normalize
        What makes the image and its mask the normalised image; by default each slice is
        normalised by its own minimum and maximum.
    """
    from harmbench.data.normalize import normalization

    normalize = normalize or normalization(DEFAULT_NORMALIZATION)
    target = np.array(registration.matrix) @ grid_affine(grid)

    def onto_grid(data: npt.NDArray[Any]) -> Array:
        volume = Volume(data.astype(np.float32), brain.image.affine)
        return resample(volume, target, grid.shape)

    part = onto_grid(brain.mask)
    mask = part >= 0.5
    image = np.where(mask, onto_grid(brain.image.data) / np.maximum(part, 0.5), 0)
    image = normalize(image.astype(np.float32), mask)
    prepared = None
    if labels is not None:
        tissues = np.stack([onto_grid(tissue) for tissue in labels])
        background = 1 - tissues.sum(axis=0)
        prepared = np.concatenate([background[None], tissues]).argmax(axis=0).astype(np.uint8)
        prepared[~mask] = 0
    return Prepared(image, mask, prepared)


def grid_affine(grid: Grid) -> Affine:
    """Return the `(4, 4)` matrix from index (slice, row, column) to MNI152 x, y, z in mm."""
    ds, dh, dw = grid.spacing
    x, y, z = grid.origin
    return np.array([[0, dh, 0, x], [0, 0, dw, y], [ds, 0, 0, z], [0, 0, 0, 1]], dtype=np.float64)
