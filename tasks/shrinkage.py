"""A known loss of tissue: structures that a deformation shrinks, and ventricles that grow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harmbench import Grid, digest

from .deformation import LabelledScan, fade, gradient, smoothed, warped
from .enlarged_ventricles import inside_box, ventricles
from .tissue_instrument import TISSUES

# In MNI152, mm: caudate, putamen and thalamus lie within, the cortex of the insula outside.
DEEP = ((-33.0, 33.0), (-32.0, 26.0), (-6.0, 20.0))
# Sign of the change: +1 shrinks, -1 grows.
STRUCTURES: Mapping[str, int] = {"deep": 1, "cortex": 1, "ventricles": -1}
SMOOTH = 2.0  # mm: of the structure, so that its surroundings move with it
EDGE = 3.0  # mm: the edge of the brain stays
PROBE = 0.1  # mm: displacement by which the change of volume per mm is found
MARGIN = 4.0  # mm: how far around a structure its volume is measured

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


def structures(labels: npt.NDArray[np.uint8], grid: Grid) -> dict[str, Mask]:
    """Return the voxels of each of the `STRUCTURES`, by their labels and their place."""
    grey, deep = labels == TISSUES["gm"], inside_box(DEEP, grid)
    return {"deep": grey & deep, "cortex": grey & ~deep, "ventricles": ventricles(labels, grid)}


@dataclass(frozen=True)
class Shrinkage:
    r"""Change the volumes of the structures of a scan; a change of slices.

    A voxel is sampled at

    .. math::
        u(p) = - \sigma \sqrt{2 \pi} \sum_T a_T \nabla f_T(p)

    where :math:`f_T` is the structure, smoothed by :math:`\sigma` = `SMOOTH`: at its surface the
    displacement is about :math:`a_T`, out of a structure that shrinks.

    Attributes
    ----------
    scan
        The scan, and its labels.
    amplitudes
        In mm, for each of the `STRUCTURES`.
    """

    scan: LabelledScan
    amplitudes: tuple[float, ...]

    @property
    def digest(self) -> str:
        """Content hash of the parameters and of the scans."""
        return digest("shrinkage", self.scan.digests, self.amplitudes, DEEP, SMOOTH, EDGE)

    def __call__(self, images: Tensor, masks: Tensor, index: Tensor) -> Tensor:
        """Deform the slices; see `SliceChange`."""
        (image, mask, labels), grid = self.scan.load(), self.scan.scans.grid
        fields = directions(structures(labels, grid), mask, grid)
        moved = warped(image, combined(fields, self.amplitudes), grid)
        return torch.where(masks, moved[index], images)


def directions(regions: Mapping[str, Mask], mask: Mask, grid: Grid) -> list[Array]:
    """Return the displacement of 1 mm out of each structure: `(3, S, H, W)` each."""
    scale = SMOOTH * math.sqrt(2 * math.pi)
    weight = fade(mask, grid, EDGE)
    return [
        -scale * weight * gradient(smoothed(region, SMOOTH, grid), grid)
        for region in regions.values()
    ]


def combined(fields: list[Array], amplitudes: tuple[float, ...]) -> Array:
    """Return the sum of displacements, each times its amplitude in mm."""
    total: Array = np.sum(
        [amplitude * field for amplitude, field in zip(amplitudes, fields, strict=True)],
        axis=0,
        dtype=np.float32,
    )
    return total


def volumes(
    regions: Mapping[str, Mask], displacement: Array, grid: Grid
) -> npt.NDArray[np.float64]:
    """Return the volumes of deformed structures, in voxels."""
    return np.array(
        [
            float(warped(torch.from_numpy(region).float(), displacement, grid).sum())
            for region in regions.values()
        ]
    )


def amplitudes_of(
    labels: npt.NDArray[np.uint8], mask: Mask, grid: Grid, losses: list[dict[str, float]]
) -> list[tuple[tuple[float, ...], dict[str, float]]]:
    """Return the amplitudes for losses in per cent, and the changes that they make.

    Parameters
    ----------
    labels, mask
        `(S, H, W)`.
    grid
        The grid.
    losses
        For each deformation the wanted loss, or growth of the ventricles, by structure.

    Returns
    -------
    list
        Amplitudes in mm, and the true change of each structure's volume in per cent.
    """
    regions = structures(labels, grid)
    fields = directions(regions, mask, grid)
    still = np.array([float(region.sum()) for region in regions.values()])
    per_mm = [
        (volumes({name: regions[name]}, PROBE * field, grid)[0] / whole - 1) / PROBE
        for name, field, whole in zip(regions, fields, still, strict=True)
    ]
    drawn = []
    for loss in losses:
        amplitudes = tuple(
            -sign * loss[name] / 100 / rate
            for (name, sign), rate in zip(STRUCTURES.items(), per_mm, strict=True)
        )
        changes = 100 * (volumes(regions, combined(fields, amplitudes), grid) / still - 1)
        drawn.append((amplitudes, dict(zip(regions, changes.tolist(), strict=True))))
    return drawn
