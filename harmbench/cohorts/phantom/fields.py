"""The fields of a session on the brain: transmit field, receive sensitivity and noise level.

All are fixed in the frame of the scanner, so they move over the brain as the head moves.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from harmbench.cohorts.phantom.lattice import Lattice, coarse_axes, interpolate, points_of
from harmbench.cohorts.phantom.noise import noise_level
from harmbench.cohorts.phantom.pose import CENTRE
from harmbench.cohorts.phantom.scanner import Scanner
from harmbench.cohorts.phantom.session import ScanSession

_STEP = 8.0  # mm: the fields are far smoother than this
_HEAD = (72.0, 68.0, 86.0)  # mm: half axes of the head along z, x and y

# Standard deviation of the irregularities of log B1+, of the scanner and of the session, and
# of those of the log receive sensitivity of the session.
_B1_SCANNER, _B1_SESSION, _RECEIVE_SESSION = 0.015, 0.008, 0.015


class Fields(NamedTuple):
    """Fields of a session, `(D, H, W)` each.

    Attributes
    ----------
    b1
        Achieved over nominal flip angle.
    receive
        Sensitivity that the vendor's correction leaves, 1 at the centre of the scanner.
    noise
        Standard deviation of the noise over that at the centre without acceleration.
    """

    b1: Tensor
    receive: Tensor
    noise: Tensor


def session_fields(scanner: Scanner, session: ScanSession, size: float, lattice: Lattice) -> Fields:
    """Evaluate the fields of a session on a lattice.

    Parameters
    ----------
    scanner, session
        Whose fields.
    size
        Size of the head relative to the template's.
    lattice
        Voxels, in the space of the template.
    """
    coarse = coarse_axes(lattice.axes, _STEP)
    points = session.pose.to_scanner(points_of(coarse), size)
    fixed, own = (field.at(points) for field in session.fields)
    b1_ripple = _B1_SCANNER * fixed[0] + _B1_SESSION * own[0]
    ripple = scanner.ripple * fixed[1] + _RECEIVE_SESSION * own[1]
    radius = sum(
        ((coordinate - centre) / half) ** 2
        for coordinate, centre, half in zip(points, CENTRE, _HEAD, strict=True)
    )
    b1 = session.b1 * (1 + session.transmit * (0.5 - radius)).clamp(min=0.2) * b1_ripple.exp()
    sensitivity = scanner.coil.sensitivity(points, session.gains)
    log_receive = (1 - scanner.coil.corrected) * sensitivity + ripple
    noise = noise_level(points, scanner.acceleration, scanner.coil.corrected * sensitivity)
    fields = interpolate(torch.stack([b1, log_receive.exp(), noise]), coarse, lattice.axes)
    return Fields(*fields)
