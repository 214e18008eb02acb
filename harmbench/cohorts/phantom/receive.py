"""The receive sensitivity of a head coil, fixed in the frame of the scanner.

An array of loops surrounds the head. A loop of radius `a` receives a spin on its axis at
distance `d` with a sensitivity of `a^3 / (a^2 + d^2)^(3/2)` (Biot-Savart and reciprocity); off
the axis the same is taken. The image is the root of the sum of squares over the loops. Vendors
divide most of it out with a calibration scan, which also divides the noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from harmbench.cohorts.phantom.pose import CENTRE

# Half axes in mm, along z, x and y, of the helmet on which the loops lie.
_HELMET = (125.0, 115.0, 130.0)
_HEIGHTS = (-0.25, 0.25, 0.7)  # of the rings of loops, in half axes along z


@dataclass(frozen=True)
class Coil:
    """A head coil.

    Attributes
    ----------
    loops
        Number of loops, spread over three rings.
    radius
        Of a loop in mm. A volume coil is approximated by a few wide loops.
    uneven
        Standard deviation of the logarithm of the gain of a loop.
    corrected
        Fraction of the logarithm of the sensitivity that the vendor's correction removes.
    """

    loops: int
    radius: float
    uneven: float
    corrected: float

    def draw_gains(self, generator: np.random.Generator) -> tuple[float, ...]:
        """Draw the logarithms of the gains of the loops."""
        return tuple(float(value) for value in self.uneven * generator.standard_normal(self.loops))

    def sensitivity(self, points: Tensor, gains: tuple[float, ...]) -> Tensor:
        """Return the logarithm of the uncorrected sensitivity, zero at the centre.

        Parameters
        ----------
        points
            `(3, D, H, W)` mm along z, x and y in the frame of the scanner.
        gains
            Logarithm of the gain of each loop.

        Returns
        -------
        Tensor
            `(D, H, W)`.
        """
        centre = torch.tensor(CENTRE)[:, None, None, None]
        return self._log_squares(points, gains) - self._log_squares(centre, gains)

    def _log_squares(self, points: Tensor, gains: tuple[float, ...]) -> Tensor:
        total = torch.zeros(points.shape[1:])
        for loop, gain in zip(self._positions(), gains, strict=True):
            squares = sum(
                (coordinate - position) ** 2
                for coordinate, position in zip(points, loop, strict=True)
            )
            total += math.exp(2 * gain) * (1 + squares / self.radius**2) ** -3
        return total.log() / 2

    def _positions(self) -> list[tuple[float, float, float]]:
        """Return the centres of the loops, z, x and y in mm."""
        positions = []
        for loop in range(self.loops):
            ring, height = loop % len(_HEIGHTS), _HEIGHTS[loop % len(_HEIGHTS)]
            in_ring = len(range(ring, self.loops, len(_HEIGHTS)))
            angle = 2 * math.pi * (loop // len(_HEIGHTS) + 0.5 * (ring % 2)) / in_ring
            narrowing = math.sqrt(1 - height**2)
            z, x, y = (
                middle + half * part
                for middle, half, part in zip(
                    CENTRE,
                    _HELMET,
                    (height, narrowing * math.sin(angle), narrowing * math.cos(angle)),
                    strict=True,
                )
            )
            positions.append((z, x, y))
        return positions
