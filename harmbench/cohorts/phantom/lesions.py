"""White-matter lesions: how many a subject has, where, and what map they make.

Lesions of presumed vascular origin lie along the lateral ventricles (caps and bands) and in
the deep white matter. Nearly every subject above 60 years has some, and their volume grows
steeply with age (de Leeuw et al., J Neurol Neurosurg Psychiatry 2001;70:9).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from harmbench.cohorts.phantom.template import TissueTemplate

# Boxes of white matter on the right side of MNI152, in mm: low and high z, x and y. Lesions
# are equally frequent on the left.
_PERIVENTRICULAR = (
    ((2.0, 16.0, 28.0), (16.0, 24.0, 40.0)),  # caps of the frontal horns
    ((22.0, 22.0, -30.0), (28.0, 30.0, 12.0)),  # bands along the bodies
    ((10.0, 28.0, -60.0), (22.0, 34.0, -46.0)),  # caps of the occipital horns
)
_DEEP = (
    ((32.0, 16.0, -44.0), (44.0, 32.0, 14.0)),  # centrum semiovale
    ((16.0, 18.0, 24.0), (28.0, 28.0, 36.0)),  # frontal
)
_MOST = 40


@dataclass(frozen=True)
class Lesion:
    """An ellipsoid in the template, which deforms with the subject; z, x and y in mm.

    Attributes
    ----------
    centre
        MNI152 coordinates.
    radii
        Half axes.
    periventricular
        Whether it lies along a ventricle, not deep in white matter.
    """

    centre: tuple[float, float, float]
    radii: tuple[float, float, float]
    periventricular: bool


def draw_lesions(generator: np.random.Generator, age: float) -> tuple[Lesion, ...]:
    """Draw the lesions of a subject: none or few below 50 years, up to 40 above 80."""
    # Subjects of one age differ by more than an order of magnitude in lesion volume.
    expected = math.exp((age - 50) / 10 + float(generator.standard_normal()))
    count = min(int(generator.poisson(min(expected, float(_MOST)))), _MOST)
    return tuple(_draw_lesion(generator) for _ in range(count))


def _draw_lesion(generator: np.random.Generator) -> Lesion:
    periventricular = bool(generator.random() < 0.55)
    boxes = _PERIVENTRICULAR if periventricular else _DEEP
    low, high = boxes[int(generator.integers(len(boxes)))]
    z, x, y = (float(value) for value in generator.uniform(low, high))
    side = float(generator.choice([-1.0, 1.0]))
    size = 2.6 * math.exp(0.4 * float(generator.standard_normal()))
    size = min(size, 6.0 if periventricular else 4.5)
    # Bands follow the ventricle from front to back.
    length = size * float(generator.uniform(1.3, 2.5) if periventricular else 1.0)
    return Lesion((z, side * x, y), (size, size, length), periventricular)


def paint_lesions(lesions: Sequence[Lesion], template: TissueTemplate) -> Tensor:
    """Return the map of lesions in the template's voxels: `(Z, X, Y)` float32 in [0, 1]."""
    volume = torch.zeros(template.maps.shape[1:])
    for lesion in lesions:
        boxes: list[slice] = []
        squares: list[Tensor] = []
        for centre, radius, start, size in zip(
            lesion.centre, lesion.radii, template.origin, volume.shape, strict=True
        ):
            first = max(0, math.floor(centre - 1.5 * radius - start))
            last = min(size, math.ceil(centre + 1.5 * radius - start) + 1)
            boxes.append(slice(first, last))
            squares.append(((torch.arange(first, last) + start - centre) / radius) ** 2)
        z, x, y = squares
        distance = (z[:, None, None] + x[:, None] + y).sqrt()
        part = volume[tuple(boxes)]
        # The edge is soft over half a radius, as lesions blend into their penumbra.
        part.copy_(torch.maximum(part, ((1.25 - distance) / 0.5).clamp(0, 1)))
    return volume
