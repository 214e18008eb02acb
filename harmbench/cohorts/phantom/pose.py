"""The head in the scanner: where the fields of a scanner fall on the brain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from harmbench.cohorts.phantom.anatomy import rotation
from harmbench.cohorts.phantom.streams import clipped_normal

# The middle of the brain, MNI152 z, x and y in mm, which lies at the centre of the scanner's
# fields if the pose is zero.
CENTRE = (8.0, 0.0, -17.0)


@dataclass(frozen=True)
class Pose:
    """Rigid position of the head in the frame of the scanner.

    Attributes
    ----------
    turn
        Rotation in degrees about z (shaking the head), x (nodding) and y (tilting).
    shift
        Displacement in mm along z, x and y.
    """

    turn: tuple[float, float, float]
    shift: tuple[float, float, float]

    @property
    def details(self) -> dict[str, list[float]]:
        """The numbers as JSON types."""
        return {
            "turn_zxy_degrees": [round(value, 2) for value in self.turn],
            "shift_zxy_mm": [round(value, 2) for value in self.shift],
        }

    def to_scanner(self, points: Tensor, size: float) -> Tensor:
        """Map `(3, D, H, W)` mm of the template, z, x and y, to the frame of the scanner.

        Parameters
        ----------
        points
            In the space of the scans, which registration made the template's.
        size
            Size of the head relative to the template's.
        """
        centre = torch.tensor(CENTRE)[:, None, None, None]
        turned = torch.einsum("ij,jdhw->idhw", rotation(self.turn), points - centre)
        return size * turned + torch.tensor(self.shift)[:, None, None, None] + centre


def draw_pose(generator: np.random.Generator) -> Pose:
    """Draw how a head lies: it nods more than it turns, and lies where the landmark light put it.

    Standard deviations of 5, 3 and 2 degrees and of 6, 2 and 4 mm: values of this project.
    """

    def normal(deviation: float) -> float:
        return clipped_normal(generator, 0.0, deviation)

    return Pose((normal(3.0), normal(5.0), normal(2.0)), (normal(6.0), normal(2.0), normal(4.0)))
