"""Lesions that are painted into white matter: where they lie, and how they look on T1."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor

from harmbench import Grid, ScanSet, digest, numpy_generator

from .faults import distance_from
from .segmenter import WHITE

GREY = 2  # value of the tissue labels
RADII = {"large": 6.0, "medium": 4.0, "small": 2.5}  # mm, in the order in which they are placed
RING = (2.0, 7.0)  # mm from the surface of a lesion: white matter to compare it with

Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class PaintedLesion:
    """A ball in white matter; its centre is slice, row and column, its radius in mm."""

    size: str
    centre: tuple[int, int, int]

    @property
    def radius(self) -> float:
        """Radius in mm."""
        return RADII[self.size]

    def weight(self, grid: Grid, index: Tensor) -> Tensor:
        """Return the share of the lesion in the voxels of slices, `(B, H, W)`; soft over 1 mm."""
        return (0.5 + self.radius - distance_from(self.centre, grid, index)).clamp(0, 1)


@dataclass(frozen=True)
class PaintedLesions:
    """Lower the intensity of white matter in lesions: a change of slices.

    Attributes
    ----------
    lesions
        The lesions.
    step
        Intensity that a whole lesion is below white matter.
    grid
        The grid of the slices.
    """

    lesions: tuple[PaintedLesion, ...]
    step: float
    grid: Grid

    @property
    def digest(self) -> str:
        """Content hash of the parameters."""
        parameters = [(lesion.radius, lesion.centre) for lesion in self.lesions]
        return digest("lesions", parameters, self.step, self.grid)

    def __call__(self, images: Tensor, masks: Tensor, index: Tensor) -> Tensor:
        """Paint the lesions; see `SliceChange`. The texture of the image stays."""
        weight = torch.zeros_like(images)
        for lesion in self.lesions:
            weight = torch.maximum(weight, lesion.weight(self.grid, index))
        return (images - self.step * weight * masks).clamp(min=0)


def place_lesions(
    labels: Labels, grid: Grid, random: np.random.Generator
) -> tuple[PaintedLesion, ...]:
    """Place a lesion of each size in white matter; those without enough of it are left out.

    A lesion lies where white matter is deepest, chosen among the voxels at least as deep as its
    radius, and away from the other lesions.

    Parameters
    ----------
    labels
        `(S, H, W)`.
    grid
        The grid of the labels.
    random
        Draws the places.
    """
    depth = ndimage.distance_transform_edt(labels == WHITE, sampling=grid.spacing)
    depth[[0, -1]] = 0
    lesions: list[PaintedLesion] = []
    index = torch.arange(grid.shape[0])
    free = np.ones(labels.shape, np.bool_)
    for size, radius in RADII.items():
        candidates = np.argwhere((depth >= radius) & free)
        if not len(candidates):
            # Thin white matter: a lesion reaches beyond it, as lesions at ventricles do.
            candidates = np.argwhere((depth >= max(grid.spacing)) & free)
        if not len(candidates):
            continue
        s, h, w = (int(value) for value in candidates[int(random.integers(len(candidates)))])
        lesions.append(PaintedLesion(size, (s, h, w)))
        away = distance_from((s, h, w), grid, index).numpy()
        free &= away > radius + RING[1] + max(RADII.values())
    return tuple(lesions)


def draw_lesions(scans: ScanSet, number: int, seed: int) -> tuple[PaintedLesion, ...]:
    """Draw the lesions of a labelled scan; they depend on the subject and its labels."""
    labels = scans.load([number]).labels
    assert labels is not None
    subject = scans.scans[number].subject
    random = numpy_generator(seed, "task", "lesions", subject)
    return place_lesions(labels[0].numpy(), scans.grid, random)


def painted(scans: ScanSet, number: int, lesions: tuple[PaintedLesion, ...]) -> PaintedLesions:
    """Return lesions as dark as the grey matter of a labelled scan."""
    scan = scans.load([number])
    assert scan.labels is not None
    return PaintedLesions(lesions, contrast_step(scan.images[0], scan.labels[0]), scans.grid)


def contrast_step(image: Tensor, labels: Tensor) -> float:
    """Return the median of white minus the median of grey matter of a scan `(S, H, W)`."""
    return float(image[labels == WHITE].median()) - float(image[labels == GREY].median())


@dataclass(frozen=True)
class LesionMeasures:
    """What is measured of a lesion.

    Attributes
    ----------
    contrast
        Mean of the surrounding white matter minus that of the lesion, relative to the
        difference of white and grey matter: 1 as painted.
    cnr
        The same difference relative to the standard deviation of the surrounding white matter;
        NaN where that is 0, as where a method saturates white matter.
    volume
        Of voxels near the lesion darker than half way from white to grey matter, in ml.
    """

    contrast: float
    cnr: float
    volume: float


def measure(image: Tensor, labels: Tensor, lesion: PaintedLesion, grid: Grid) -> LesionMeasures:
    """Measure a lesion in a scan `(S, H, W)` with the labels from before the lesion."""
    index = torch.arange(grid.shape[0])
    distance = distance_from(lesion.centre, grid, index)
    white = labels == WHITE
    core = lesion.weight(grid, index) > 0.5
    ring = white & (distance > lesion.radius + RING[0]) & (distance < lesion.radius + RING[1])
    step = contrast_step(image, labels)
    surrounding, dark = image[ring].double(), image[core].double()
    difference = float(surrounding.mean() - dark.mean())
    near = (white | core) & (distance < lesion.radius + RING[0])
    lesion_like = near & (image < float(surrounding.mean()) - step / 2)
    millilitres = float(np.prod(grid.spacing)) / 1000
    noise = float(surrounding.std())
    return LesionMeasures(
        contrast=difference / step if step else math.nan,
        cnr=difference / noise if noise else math.nan,
        volume=int(lesion_like.sum()) * millilitres,
    )
