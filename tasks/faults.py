"""Unusual scans: a cavity after surgery, strong noise, motion, a cut field of view, inversion."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from harmbench import Grid, ScanSet, digest, numpy_generator

CAVITY_RADIUS = (12.0, 20.0)  # mm: range of the half axis of the cavity
FLUID_PERCENTILE = 3.0  # of the brain's intensities: the level that fills a cavity
NOISE = 0.12  # standard deviation of each channel of the Rician noise; the brain's range is 1
MOVES, SHIFT = 6, 3.0  # number of movements, and standard deviation of the position in mm
CUT = 0.3  # fraction of the slices, from the top, that a cut field of view lacks


@dataclass(frozen=True)
class Cavity:
    """A cavity full of fluid, as after surgery.

    Attributes
    ----------
    centre
        Slice, row and column.
    radius, level
        Half axis in mm, and the intensity of the fluid.
    grid
        The grid of the slices.
    """

    centre: tuple[int, int, int]
    radius: float
    level: float
    grid: Grid

    @property
    def digest(self) -> str:
        """Content hash of the parameters."""
        return digest("cavity", self.centre, self.radius, self.level, self.grid)

    def __call__(self, images: Tensor, masks: Tensor, index: Tensor) -> Tensor:
        """Fill the cavity; see `SliceChange`. The edge is soft over 2 mm."""
        distance = distance_from(self.centre, self.grid, index)
        weight = (0.5 + (self.radius - distance) / 2).clamp(0, 1) * masks
        return torch.lerp(images, torch.full_like(images, self.level), weight)


@dataclass(frozen=True)
class StrongNoise:
    """Rician noise, a multiple of the usual."""

    seed: int

    @property
    def digest(self) -> str:
        """Content hash of the parameters."""
        return digest("strong noise", self.seed, NOISE)

    def __call__(self, images: Tensor, masks: Tensor, index: Tensor) -> Tensor:
        """Add noise inside the brain; see `SliceChange`."""
        noise = np.stack(
            [
                numpy_generator(self.seed, "noise", i).standard_normal(
                    (2, *images.shape[1:]), dtype=np.float32
                )
                for i in index.tolist()
            ]
        )
        real, imaginary = torch.from_numpy(NOISE * noise).unbind(1)
        return torch.where(masks, torch.hypot(images + real, imaginary).clamp(0, 1), images)


@dataclass(frozen=True)
class Motion:
    """Movements during the scan: groups of k-space lines are of a head that lies elsewhere.

    A translation multiplies k-space by a phase. Lines are along columns of the slice.

    Attributes
    ----------
    starts, shifts
        Fraction of the lines before each movement, and the position after it in mm.
    grid
        The grid of the slices.
    """

    starts: tuple[float, ...]
    shifts: tuple[float, ...]
    grid: Grid

    @property
    def digest(self) -> str:
        """Content hash of the parameters."""
        return digest("motion", self.starts, self.shifts, self.grid)

    def __call__(self, images: Tensor, masks: Tensor, index: Tensor) -> Tensor:
        """Blur and ghost the slices; see `SliceChange`."""
        W = images.shape[-1]
        order = (torch.arange(W) + 0.5) / W
        after = torch.bucketize(order, torch.tensor(self.starts, dtype=order.dtype))
        position = torch.tensor([0.0, *self.shifts])[after] / self.grid.spacing[2]
        phase = torch.exp(-2j * math.pi * (order - 0.5) * position)
        lines = torch.fft.fftshift(torch.fft.fft(images), dim=-1) * phase
        moved = torch.fft.ifft(torch.fft.ifftshift(lines, dim=-1)).abs().float()
        return torch.where(masks, moved.clamp(0, 1), images)


@dataclass(frozen=True)
class CutFieldOfView:
    """The uppermost slices are empty."""

    grid: Grid

    @property
    def digest(self) -> str:
        """Content hash of the parameters."""
        return digest("cut field of view", CUT, self.grid.shape[0])

    def __call__(self, images: Tensor, masks: Tensor, index: Tensor) -> Tensor:
        """Empty the slices; see `SliceChange`."""
        kept = index < round((1 - CUT) * self.grid.shape[0])
        return images * kept[:, None, None]


@dataclass(frozen=True)
class Inverted:
    """Bright tissue is dark and dark tissue bright, as on T2-weighted scans."""

    digest: str = digest("inverted")

    def __call__(self, images: Tensor, masks: Tensor, index: Tensor) -> Tensor:
        """Invert the brain; see `SliceChange`."""
        return torch.where(masks, 1 - images, images)


def distance_from(centre: tuple[int, int, int], grid: Grid, index: Tensor) -> Tensor:
    """Return the distance of the voxels of some slices from a voxel, in mm: `(B, H, W)`."""
    along, down, across = (
        ((places - middle) * step).float()
        for places, middle, step in zip(
            (index, torch.arange(grid.shape[1]), torch.arange(grid.shape[2])),
            centre,
            grid.spacing,
            strict=True,
        )
    )
    squares = along[:, None, None] ** 2 + down[:, None] ** 2 + across**2
    return squares.sqrt()


def draw_cavity(scans: ScanSet, number: int, seed: int) -> tuple[tuple[int, int, int], float]:
    """Draw centre and radius of a cavity half a radius below the surface of the brain."""
    subject = scans.scans[number].subject
    random = numpy_generator(seed, "task", "unusual", "cavity", subject)
    radius = float(random.uniform(*CAVITY_RADIUS))
    mask = scans.load([number]).masks[0].numpy()
    # The stack ends where the brain does not.
    ends = np.pad(mask, ((1, 1), (0, 0), (0, 0)), mode="edge")
    depth = ndimage.distance_transform_edt(ends, sampling=scans.grid.spacing)[1:-1]
    step = max(scans.grid.spacing)
    candidates = np.argwhere(mask & (np.abs(depth - radius / 2) <= step / 2))
    chosen = candidates[int(random.integers(len(candidates)))]
    s, h, w = (int(value) for value in chosen)
    return (s, h, w), radius


def cavity_of(scans: ScanSet, number: int, centre: tuple[int, int, int], radius: float) -> Cavity:
    """Return a cavity with the intensity of fluid in a scan."""
    scan = scans.load([number])
    level = float(np.percentile(scan.images[0][scan.masks[0]].numpy(), FLUID_PERCENTILE))
    return Cavity(centre, radius, level, scans.grid)


def draw_motion(scans: ScanSet, number: int, seed: int) -> Motion:
    """Draw the movements of a subject; the position at the centre of k-space is the first."""
    random = numpy_generator(seed, "task", "unusual", "motion", scans.scans[number].subject)
    starts = np.sort(random.uniform(0.0, 1.0, MOVES))
    shifts = np.concatenate([[0.0], SHIFT * random.standard_normal(MOVES)])
    shifts -= shifts[np.searchsorted(starts, 0.5)]
    # The head lies at `shifts[0]` before the first movement: add a movement before all lines.
    return Motion((0.0, *starts.tolist()), tuple(shifts.tolist()), scans.grid)
