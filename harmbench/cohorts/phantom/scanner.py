"""The scanners of Table 1, and the images they make of an anatomy.

An anatomy is rendered by the signal equation of MPRAGE (`harmbench.cohorts.phantom.mprage`), or of
a spin echo, under the transmit and receive fields, the resolution and the noise of a scanner.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harmbench.cohorts.phantom.anatomy import Anatomy, Lattice, SmoothField
from harmbench.cohorts.phantom.mprage import TISSUES, Mprage
from harmbench.cohorts.phantom.spin_echo import SpinEcho
from harmbench.util.seeds import derive, numpy_generator


@dataclass(frozen=True, kw_only=True)
class Scanner:
    """A scanner and its protocol; fields are given by their typical values.

    Attributes
    ----------
    model
        As in Table 1.
    tesla
        Field strength: a key of `TISSUES`.
    sequence
        Its protocol.
    voxel
        Acquired voxel size in mm: left-right (the partitions of a sagittal slab),
        posterior-anterior and inferior-superior.
    transmit
        Fall of B1+ from the centre of the brain to its surface, as a fraction.
    surface
        Rise of the logarithm of the receive sensitivity from the centre to the surface.
    tilt
        Its rise along inferior-superior, left-right and posterior-anterior, over half a brain.
    noise
        Standard deviation of the noise, real and imaginary, over the nominal signal of
        white matter.
    """

    model: str
    tesla: float
    sequence: Mprage | SpinEcho
    voxel: tuple[float, float, float]
    transmit: float
    surface: float
    tilt: tuple[float, float, float]
    noise: float

    @property
    def parameters(self) -> dict[str, Any]:
        """Return the fields of a real scan's sidecar, under their BIDS names."""
        return {
            "ManufacturersModelName": self.model,
            "MagneticFieldStrength": self.tesla,
            "VoxelSize": list(self.voxel),
            **self.sequence.parameters,
        }


_TRIO = Mprage.from_inversion_time(
    repetition=2.4, inversion=1.0, echo_spacing=0.0075, readouts=176, flip=8, echo_time=0.0032
)
# TR, TE, flip angle and voxel of the mMR are Siemens' standard 3T protocol (ADNI-2), of
# 7.1 ms echo spacing. The Vida has the same and no TI in Table 1: 0.9 s is taken
# for it too, which belongs to that protocol.
_STANDARD_3T = Mprage.from_inversion_time(
    repetition=2.3, inversion=0.9, echo_spacing=0.0071, readouts=176, flip=9, echo_time=0.0030
)
# Table 1's "9.7 s" is the echo spacing in ms. OASIS-1 (Marcus et al., J Cogn Neurosci
# 2007;19:1498): TR 9.7 ms, TE 4 ms, flip 10 degrees, TI 20 ms, delay 200 ms. Such a TI
# cannot be to the centre of the train of 128: it is to the first excitation.
_VISION = Mprage(
    delay=0.020, echo_spacing=0.0097, readouts=128, recovery=0.200, flip=10, echo_time=0.0040
)

# Protocols: Table 1. Fields and noise: ours, of the size usual at the field strength.
# B1+ falls by 30 to 40 % over a head at 3T and hardly at 1.5T; arrays are brightest at
# the surface unless that is normalized away (as on the Vida).
SCANNERS: dict[str, Scanner] = {
    "target": Scanner(
        model="TIM Trio", tesla=3.0, sequence=_TRIO, voxel=(1.0, 1.0, 1.0),
        transmit=0.34, surface=0.10, tilt=(0.00, 0.00, 0.04), noise=0.030,
    ),
    "domain1": Scanner(
        model="Magnetom Vida", tesla=3.0, sequence=_STANDARD_3T, voxel=(1.2, 1.05, 1.05),
        transmit=0.42, surface=-0.22, tilt=(0.06, 0.00, -0.10), noise=0.022,
    ),
    "domain2": Scanner(
        model="Vision", tesla=1.5, sequence=_VISION, voxel=(1.25, 1.0, 1.0),
        transmit=0.06, surface=0.02, tilt=(-0.12, 0.03, 0.00), noise=0.042,
    ),
    "domain3": Scanner(
        model="Biograph mMR", tesla=3.0, sequence=_STANDARD_3T, voxel=(1.2, 1.05, 1.05),
        transmit=0.38, surface=0.40, tilt=(0.00, 0.00, -0.18), noise=0.038,
    ),
    "domain4": Scanner(
        model="TIM Trio", tesla=3.0, sequence=_TRIO, voxel=(1.0, 1.0, 1.0),
        transmit=0.34, surface=0.18, tilt=(0.05, -0.03, 0.07), noise=0.034,
    ),
}  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class Acquisition:
    """All that was drawn for one subject in one scanner.

    Attributes
    ----------
    b1
        Mean of B1+ over the brain, over nominal: how well the transmitter was adjusted.
    transmit, surface, tilt, noise
        As in `Scanner`, of this scan.
    smear
        FWHM in mm of the blur that small motion adds.
    fields
        Irregularity of log B1+ and of the log receive sensitivity (2 channels).
    noise_seed
        Seed of the noise.
    """

    b1: float
    transmit: float
    surface: float
    tilt: tuple[float, float, float]
    noise: float
    smear: float
    fields: SmoothField
    noise_seed: int

    @property
    def details(self) -> dict[str, Any]:
        """The numbers, without the fields, as JSON types."""
        return {
            "b1_mean": round(self.b1, 4),
            "b1_fall": round(self.transmit, 4),
            "receive_surface": round(self.surface, 4),
            "receive_tilt_zxy": [round(value, 4) for value in self.tilt],
            "noise": round(self.noise, 4),
            "smear_mm": round(self.smear, 3),
        }


def draw_acquisition(seed: int, subject: str, scanner: str, session: str = "1") -> Acquisition:
    """Draw a scan; depends on the seed and the names of subject, scanner and session alone.

    How far fields differ from scan to scan was set by what real scans show: cosines of
    the tasks' bias field fitted to the scans of three real scanners scatter by 0.034 to
    0.048 in the logarithm, these by 0.041 to 0.045, and twice as wide ones by 0.06 to 0.07.
    """
    # The first session came before there were others, and has no name in its streams.
    axes = (subject, scanner) if session == "1" else (subject, scanner, session)
    generator = numpy_generator(seed, "phantom", "scan", *axes)
    typical = SCANNERS[scanner]

    def normal(mean: float, deviation: float) -> float:
        return float(mean + deviation * np.clip(generator.standard_normal(), -2.5, 2.5))

    z, x, y = (normal(value, 0.015) for value in typical.tilt)
    return Acquisition(
        b1=normal(1.0, 0.03),
        transmit=typical.transmit * normal(1.0, 0.06),
        surface=normal(typical.surface, 0.02),
        tilt=(z, x, y),
        noise=typical.noise * math.exp(normal(0.0, 0.1)),
        smear=abs(normal(0.0, 0.5)),
        fields=SmoothField.draw(generator, 50.0, 2),
        noise_seed=derive(seed, "phantom", "noise", *axes),
    )


def render(
    anatomy: Anatomy, scanner: Scanner, acquisition: Acquisition, lattice: Lattice
) -> Tensor:
    """Render the magnitude image `(D, H, W)`, float32; 0 well outside the brain.

    The scale is arbitrary, as a scanner's is; the same arguments give the same bits.
    """
    near = anatomy.brain.flatten().nonzero().squeeze(1)  # half of all voxels are air
    b1, receive = (field.take(near) for field in _fields(acquisition, lattice))
    tissues = TISSUES[scanner.tesla]
    spins = torch.zeros_like(b1)
    for name, fraction in zip(("csf", "gm", "wm"), anatomy.fractions, strict=True):
        tissue = tissues[name]
        t1 = torch.full((1,), tissue.t1)
        scale = torch.full((1,), scanner.sequence.transverse(tissue))
        if name != "csf":
            t1 = t1 * anatomy.t1[0 if name == "gm" else 1].take(near)
            scale = scale * anatomy.water.take(near)
        spins += fraction.take(near) * scale * scanner.sequence.signal(t1, b1)
    volume = torch.zeros(lattice.shape)
    volume.put_(near, receive * spins)
    _blur(volume, scanner, acquisition, lattice)

    white = tissues["wm"]
    nominal = scanner.sequence.signal(torch.tensor(white.t1), torch.tensor(1.0))
    level = acquisition.noise * float(nominal) * scanner.sequence.transverse(white)
    generator = torch.Generator().manual_seed(acquisition.noise_seed)
    real, imaginary = level * torch.randn(2, len(near), generator=generator)
    return volume.put_(near, torch.hypot(volume.take(near) + real, imaginary))


def _fields(acquisition: Acquisition, lattice: Lattice) -> tuple[Tensor, Tensor]:
    """Return B1+ over nominal and the receive sensitivity: `(D, H, W)` each."""
    # The brain as an ellipsoid: centre and half axes in mm along z, x and y.
    z, x, y = (
        (axis - centre) / half
        for axis, centre, half in zip(
            lattice.mesh(), (8.0, 0.0, -17.0), (72.0, 68.0, 86.0), strict=True
        )
    )
    radius = z**2 + x**2 + y**2
    ripple = acquisition.fields.on(lattice)
    b1 = acquisition.b1 * (1 + acquisition.transmit * (0.5 - radius)).clamp(min=0.2)
    up, right, front = acquisition.tilt
    logarithm = acquisition.surface * radius + up * z + right * x + front * y
    return b1 * (0.01 * ripple[0]).exp(), (logarithm + 0.02 * ripple[1]).exp()


def _blur(volume: Tensor, scanner: Scanner, acquisition: Acquisition, lattice: Lattice) -> None:
    """Blur in place by the acquired voxel and by motion, as Gaussians of those FWHM."""
    left_right, front_back, up_down = scanner.voxel
    widths = zip((up_down, left_right, front_back), lattice.spacing, strict=True)
    for axis, (width, spacing) in enumerate(widths):
        variance = (width**2 + acquisition.smear**2) / (8 * math.log(2)) / spacing**2
        # Three taps have a variance of twice the side's weight; one pass does at 1.2 mm.
        passes = math.ceil(2 * variance)
        side = variance / 2 / passes
        count = volume.shape[axis] - 2
        for _ in range(passes):
            inner, below, above = (volume.narrow(axis, start, count) for start in (1, 0, 2))
            inner.copy_((1 - 2 * side) * inner + side * (below + above))
