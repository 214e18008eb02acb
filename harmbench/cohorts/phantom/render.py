"""From an anatomy to an image: signal equation, fields, blur and noise."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from harmbench.cohorts.phantom.anatomy import TISSUE_NAMES, Anatomy
from harmbench.cohorts.phantom.blur import blur
from harmbench.cohorts.phantom.fields import Fields, session_fields
from harmbench.cohorts.phantom.lattice import Lattice, points_of
from harmbench.cohorts.phantom.noise import draw_noise
from harmbench.cohorts.phantom.relaxation import TISSUES
from harmbench.cohorts.phantom.scanner import Scanner
from harmbench.cohorts.phantom.session import ScanSession

# FWHM of the Gaussian that has the variance of a voxel, in voxels.
_BOX = math.sqrt(8 * math.log(2) / 12)


class Rendering(NamedTuple):
    """Magnitude images `(D, H, W)` of a session, float32, of an arbitrary scale.

    Attributes
    ----------
    image
        With noise.
    noise_free
        The same without noise.
    """

    image: Tensor
    noise_free: Tensor


def render(
    anatomy: Anatomy, size: float, scanner: Scanner, session: ScanSession, lattice: Lattice
) -> Rendering:
    """Render a session; the same arguments give the same bits.

    Parameters
    ----------
    anatomy, size
        The head, and its size relative to the template's.
    scanner, session
        Where and how it is scanned.
    lattice
        Voxels of the anatomy.
    """
    fields = session_fields(scanner, session, size, lattice)
    volume = signal(anatomy, scanner, fields) * fields.receive
    left_right, front_back, up_down = scanner.voxel
    z, x, y = (
        ((_BOX * width) ** 2 + scanner.filtering**2 + session.motion**2) ** 0.5
        for width in (up_down, left_right, front_back)
    )
    blur(volume, (z, x, y), lattice)

    white = TISSUES[scanner.tesla]["wm"]
    nominal = float(scanner.sequence.signal(torch.tensor(white.t1), torch.tensor(1.0)))
    level = session.noise * nominal * scanner.sequence.transverse(white)
    points = session.pose.to_scanner(points_of(lattice.axes), size)
    voxel = (up_down, left_right, front_back)
    noise = level * fields.noise * draw_noise(session.noise_seed, points, voxel)
    for part in noise:
        blur(part, (scanner.filtering,) * 3, lattice)
    real, imaginary = noise
    return Rendering(torch.hypot(volume + real, imaginary), volume.abs_())


def signal(anatomy: Anatomy, scanner: Scanner, fields: Fields) -> Tensor:
    """Return the signal `(D, H, W)` of all tissues, added with their signs.

    Each voxel's T1, water content and iron enter the signal equation, under the B1+ there.
    """
    result = torch.zeros_like(anatomy.brain).flatten()
    for name, fraction in zip(TISSUE_NAMES, anatomy.fractions, strict=True):
        tissue = TISSUES[scanner.tesla][name]
        near = (fraction.flatten() > 1e-3).nonzero().squeeze(1)  # half of all voxels are air
        t1 = torch.full((1,), tissue.t1)
        scale = fraction.take(near) * scanner.sequence.transverse(tissue)
        if name in ("gm", "wm"):
            t1 = t1 * anatomy.t1[0 if name == "gm" else 1].take(near)
            scale = scale * anatomy.water.take(near)
        if name == "gm":
            # Iron acts in proportion to the field strength.
            decay = scanner.sequence.echo_time * scanner.tesla / 3
            scale = scale * torch.exp(-decay * anatomy.iron.take(near))
        weight = scanner.sequence.signal(t1, fields.b1.take(near))
        result.index_add_(0, near, scale * weight)
    return result.view_as(anatomy.brain)
