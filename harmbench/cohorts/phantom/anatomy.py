"""Subjects: individual brains from the MNI152 tissue maps that come inside nilearn.

A subject is drawn once, as a handful of numbers and B-spline lattices, and is then
turned into voxels on any grid by pure functions. What makes subjects differ:

- head size and shape, and a smooth displacement at two scales, which also breaks the
  left-right symmetry of the template;
- folding: the template's tissue probabilities, sharpened, with smooth random fields
  added to their logits, so that what is uncertain in an average over subjects (where a
  sulcus lies, how far a blade of white matter reaches) is decided for this subject;
- age: ventricles and sulci widen and the cortex thins;
- T1 and water content, per subject and slowly from place to place.

Arrays are `(D, H, W)` along MNI152 z, x and y, as in `harmbench.data.scans.Grid`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from harmbench.data.scans import Grid
from harmbench.util.seeds import numpy_generator

Array = npt.NDArray[np.float32]

# All of the template, in mm along z, x and y: the box on which random fields are drawn,
# whatever the grid, so that a subject is the same subject on every grid.
_BOX_LOW = (-72.0, -98.0, -134.0)
_BOX_HIGH = (116.0, 98.0, 98.0)

# Adults of OASIS-3 are 42 to 95 years old (LaMontagne et al., medRxiv 2019).
AGES = (42.0, 95.0)

_INTERNAL = 1.2  # mm: what is simulated, before averaging down to a coarser grid
_SHARPNESS = 2.5  # of the tissue logits: partial volume within about one voxel
_FLOOR = 0.02  # probability that any tissue keeps everywhere, so that fields can act
_VENTRICLES = ((14.0, 0.0, -12.0), (24.0, 26.0, 42.0))  # centre and widths in mm; z, x, y
_DEEP_GREY = ((4.0, 0.0, -6.0), (14.0, 26.0, 24.0))


@dataclass(frozen=True)
class Lattice:
    """The voxels that are simulated: those of a grid, refined and with a margin.

    Attributes
    ----------
    axes
        MNI152 coordinates in mm of the voxel centres along z, x and y.
    factors
        Voxels of the lattice in one of the grid, along each axis.
    margin
        Voxels that the lattice has beyond the grid at either end of each axis.
    """

    axes: tuple[Tensor, Tensor, Tensor]
    factors: tuple[int, int, int]
    margin: int = 2

    @classmethod
    def of(cls, grid: Grid) -> Lattice:
        """Refine a grid to about 1.2 mm, however coarse it is."""
        x, y, z = grid.origin
        axes: list[Tensor] = []
        factors: list[int] = []
        for start, count, step in zip((z, x, y), grid.shape, grid.spacing, strict=True):
            factor = max(1, round(step / _INTERNAL))
            fine = step / factor
            places = torch.arange(-cls.margin, count * factor + cls.margin)
            axes.append((start - (factor - 1) / 2 * fine + places * fine).float())
            factors.append(factor)
        return cls((axes[0], axes[1], axes[2]), (factors[0], factors[1], factors[2]))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along z, x and y."""
        z, x, y = self.axes
        return (len(z), len(x), len(y))

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance in mm of neighbours along z, x and y."""
        z, x, y = (float(axis[1] - axis[0]) for axis in self.axes)
        return (z, x, y)

    def mesh(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return z, x and y in mm, shaped to broadcast to `(D, H, W)`."""
        z, x, y = self.axes
        return z[:, None, None], x[None, :, None], y[None, None, :]

    def to_grid(self, volume: Tensor) -> Tensor:
        """Average `(..., D, H, W)` over the voxels of the grid, to `(..., S, H, W)`."""
        inner = slice(self.margin, -self.margin)
        volume = volume[..., inner, inner, inner]
        if self.factors == (1, 1, 1):
            return volume
        pooled = F.avg_pool3d(volume.reshape(-1, 1, *volume.shape[-3:]), self.factors)
        return pooled.reshape(*volume.shape[:-3], *pooled.shape[2:])


@dataclass(frozen=True, eq=False)
class SmoothField:
    """A random field that is smooth: uniform cubic B-splines on a lattice over the head.

    Attributes
    ----------
    coefficients
        `(C, nz, nx, ny)` float32, drawn such that the field has unit variance.
    spacing
        Distance of the lattice's nodes in mm, which is about the field's correlation length.
    """

    coefficients: Array
    spacing: float

    @classmethod
    def draw(cls, generator: np.random.Generator, spacing: float, channels: int = 1) -> SmoothField:
        """Draw independent standard normal coefficients, scaled to a field of unit variance."""
        nodes = [
            math.ceil((high - low) / spacing) + 3
            for low, high in zip(_BOX_LOW, _BOX_HIGH, strict=True)
        ]
        values = generator.standard_normal((channels, *nodes), dtype=np.float32)
        # The squares of the cubic B-spline's weights add to 151/315 per axis on average.
        return cls(values / np.float32((151 / 315) ** 1.5), spacing)

    def on(self, lattice: Lattice) -> Tensor:
        """Evaluate at the voxels of a lattice: `(C, D, H, W)` float32."""
        field = torch.from_numpy(self.coefficients)
        weights = [
            self._weights(axis, low, count)
            for axis, low, count in zip(
                lattice.axes, _BOX_LOW, self.coefficients.shape[1:], strict=True
            )
        ]
        # Separable: one small matrix product per axis instead of 64 terms per voxel.
        z, x, y = weights
        field = torch.einsum("di,cijk->cdjk", z, field)
        field = torch.einsum("hj,cdjk->cdhk", x, field)
        return field @ y.T

    def _weights(self, axis: Tensor, low: float, count: int) -> Tensor:
        """Return the `(len(axis), count)` B-spline weights; beyond the box the edge goes on."""
        place = ((axis - low) / self.spacing).clamp(0, count - 3 - 1e-3) + 1
        distance = (place[:, None] - torch.arange(count)).abs()
        inner = 2 / 3 - distance**2 + distance**3 / 2
        outer = (2 - distance).clamp(min=0) ** 3 / 6
        return torch.where(distance < 1, inner, outer)


@dataclass(frozen=True, eq=False)
class Template:
    """The MNI152 average as probabilities.

    Attributes
    ----------
    probabilities
        `(4, Z, X, Y)` uint8, in 1/255, at 1 mm: CSF, GM, WM and the brain's mask.
    origin
        MNI152 z, x and y in mm of the first voxel.
    """

    probabilities: npt.NDArray[np.uint8]
    origin: tuple[float, float, float]


def load_template() -> Template:
    """Read the ICBM 2009a maps that nilearn ships (no download). Slow: nilearn is imported."""
    from nilearn import datasets

    images = [
        load(resolution=1)
        for load in (datasets.load_mni152_gm_template, datasets.load_mni152_wm_template)
    ]
    brain_image = datasets.load_mni152_brain_mask(resolution=1)
    grey, white, brain = (
        torch.from_numpy(np.asarray(image.dataobj, dtype=np.float32).transpose(2, 0, 1).copy())
        for image in (*images, brain_image)
    )
    csf = (brain - grey - white).clamp(min=0)
    # Rounding a hard edge lets it be deformed without steps.
    brain = F.avg_pool3d(brain[None, None], 3, stride=1, padding=1)[0, 0]
    maps = torch.stack([csf, grey, white, brain])
    x, y, z = brain_image.affine[:3, 3]
    return Template((maps * 255).round().byte().numpy(), (float(z), float(x), float(y)))


@dataclass(frozen=True, eq=False, kw_only=True)
class Subject:
    """All that was drawn of a subject; lengths in mm, angles in degrees.

    Attributes
    ----------
    age
        In years.
    scale
        Size of the head relative to the template's, along z, x and y.
    turn
        Rotation left about z, x and y: what registration leaves over.
    ventricles
        Widening of the ventricles in [0, 0.6): 0 leaves the template's.
    atrophy
        Added to the logit of CSF in the sulci.
    t1, water
        Factors on the T1 of GM and WM, and on the water content of both.
    shape, wrinkles
        Displacement at the scale of lobes and of gyri (3 channels each).
    folding
        Added to the tissue logits (2 channels: CSF against GM, WM against GM).
    texture
        Variation of T1 in GM and in WM, and of water content (3 channels).
    """

    age: float
    scale: tuple[float, float, float]
    turn: tuple[float, float, float]
    ventricles: float
    atrophy: float
    t1: tuple[float, float]
    water: float
    shape: SmoothField
    wrinkles: SmoothField
    folding: SmoothField
    texture: SmoothField

    @property
    def details(self) -> dict[str, object]:
        """The numbers, without the fields, as JSON types."""
        return {
            "age": round(self.age, 1),
            "head_scale_zxy": [round(value, 4) for value in self.scale],
            "head_turn_zxy_degrees": [round(value, 2) for value in self.turn],
            "ventricle_widening": round(self.ventricles, 3),
            "atrophy": round(self.atrophy, 3),
            "t1_factor_gm_wm": [round(value, 4) for value in self.t1],
            "water_factor": round(self.water, 4),
        }


def draw_subject(seed: int, name: str) -> Subject:
    """Draw a subject; depends on the seed and the name alone."""
    generator = numpy_generator(seed, "phantom", "subject", name)

    def normal(mean: float, deviation: float) -> float:
        return float(mean + deviation * np.clip(generator.standard_normal(), -2.5, 2.5))

    age = float(generator.uniform(*AGES))
    old = (age - AGES[0]) / (AGES[1] - AGES[0])
    size = normal(1.0, 0.015)
    return Subject(
        age=age,
        scale=(size * normal(1, 0.02), size * normal(1, 0.02), size * normal(1, 0.02)),
        turn=(normal(0, 1.5), normal(0, 1.5), normal(0, 1.5)),
        ventricles=float(np.clip(normal(0.05 + 0.35 * old, 0.10), 0, 0.55)),
        atrophy=normal(0.1 + 0.7 * old, 0.2),
        t1=(normal(1, 0.03), normal(1, 0.03)),
        water=normal(1, 0.01),
        shape=SmoothField.draw(generator, 45.0, 3),
        wrinkles=SmoothField.draw(generator, 16.0, 3),
        folding=SmoothField.draw(generator, 5.0, 2),
        texture=SmoothField.draw(generator, 12.0, 3),
    )


class Anatomy(NamedTuple):
    """A subject's brain on a lattice.

    Attributes
    ----------
    fractions
        `(3, D, H, W)`, summing to 1: CSF, GM and WM. Beyond the brain all is CSF.
    brain
        `(D, H, W)` in [0, 1]: what is left when the skull is taken off.
    t1
        `(2, D, H, W)`: factors on the T1 of GM and WM.
    water
        `(D, H, W)`: factor on the water content of GM and WM.
    """

    fractions: Tensor
    brain: Tensor
    t1: Tensor
    water: Tensor


def bump(lattice: Lattice, place: tuple[Sequence[float], Sequence[float]]) -> Tensor:
    """Return a Gaussian `(D, H, W)` of height 1 at a centre, with widths; z, x, y in mm."""
    squares = [
        ((axis - centre) / width) ** 2
        for axis, centre, width in zip(lattice.mesh(), *place, strict=True)
    ]
    return torch.exp(-0.5 * (squares[0] + squares[1] + squares[2]))


def build_anatomy(subject: Subject, template: Template, lattice: Lattice) -> Anatomy:
    """Build a subject's brain on a lattice; the same arguments give the same bits."""
    places = _template_places(subject, lattice)
    maps = _sample(template, places)
    csf, grey, white, brain = maps
    inside = brain.clamp(min=0.05)
    folding = subject.folding.on(lattice)
    logits = torch.stack([csf, grey, white]).add_(_FLOOR * inside).log_()
    # The thalamus and the pallidum are mixtures of grey and white matter in everybody, not
    # by averaging over subjects, so there the maps are left as they are.
    deep = bump(lattice, _DEEP_GREY)
    logits[0] += subject.atrophy + 0.8 * folding[0]
    logits[2] += 0.8 * folding[1] * (1 - deep)
    fractions = ((_SHARPNESS + (1 - _SHARPNESS) * deep) * logits).softmax(dim=0)
    # Past the brain's surface lies CSF, which blurs into it, not an edge of nothing.
    outside = (1 - 2 * brain).clamp(min=0)
    fractions = fractions * (1 - outside)
    fractions[0] += outside

    texture = subject.texture.on(lattice)
    t1 = torch.stack([subject.t1[0] + 0.025 * texture[0], subject.t1[1] + 0.025 * texture[1]])
    # Deep grey matter has more iron and myelin: putamen and caudate have 0.83 to 0.87
    # of the cortex's T1 at 3 T (Wright et al., 2008).
    t1[0] *= 1 - 0.15 * deep
    return Anatomy(fractions, brain, t1, subject.water + 0.01 * texture[2])


def _template_places(subject: Subject, lattice: Lattice) -> Tensor:
    """Return where in the template each voxel comes from: `(3, D, H, W)`, z, x, y in mm."""
    centre = (18.0, 0.0, -17.0)
    z, x, y = (axis - middle for axis, middle in zip(lattice.mesh(), centre, strict=True))
    rows = _rotation(subject.turn) / torch.tensor(subject.scale)[:, None]
    places = torch.stack(
        [
            row[0] * z + row[1] * x + row[2] * y + middle
            for row, middle in zip(rows, centre, strict=True)
        ]
    )
    places += 2.0 * subject.shape.on(lattice)
    places += 1.3 * subject.wrinkles.on(lattice)
    # Pulling towards the ventricles' centre widens them; one to one for any widening < 1.
    pull = subject.ventricles * bump(lattice, _VENTRICLES)
    for axis, middle in zip(places, _VENTRICLES[0], strict=True):
        axis -= pull * (axis - middle)
    return places


def _rotation(degrees: tuple[float, float, float]) -> Tensor:
    """Return the rotation matrix about z, then x, then y, in the order z, x, y."""
    matrix = torch.eye(3)
    for axis, angle in enumerate(degrees):
        first, second = (axis + 1) % 3, (axis + 2) % 3
        turn = torch.eye(3)
        cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        turn[first, first] = turn[second, second] = cosine
        turn[first, second], turn[second, first] = -sine, sine
        matrix = turn @ matrix
    return matrix


def _sample(template: Template, places: Tensor) -> Tensor:
    """Interpolate the template linearly at `(3, D, H, W)` mm: `(4, D, H, W)` in [0, 1]."""
    # Only the slab of slices that is asked for is worth converting to float.
    bottom, top = places[0].aminmax()
    last = template.probabilities.shape[1] - 2
    first = min(max(math.floor(float(bottom) - template.origin[0]), 0), last)
    end = max(math.ceil(float(top) - template.origin[0]) + 1, first + 2)
    volume = torch.from_numpy(template.probabilities[:, first:end]).float()[None]
    origin = (template.origin[0] + first, *template.origin[1:])
    # grid_sample wants the last axis first, each in [-1, 1] from first to last voxel.
    index = torch.empty(1, *places.shape[1:], 3)
    for axis, (place, start, size) in enumerate(zip(places, origin, volume.shape[2:], strict=True)):
        index[0, ..., 2 - axis] = (place - start) * (2 / (size - 1)) - 1
    return F.grid_sample(volume, index, align_corners=True)[0] / 255
