"""The scanners of Table 1: protocols, coils, fields, noise and their masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harmbench.cohorts.phantom.masks import Extraction
from harmbench.cohorts.phantom.mprage import Mprage
from harmbench.cohorts.phantom.receive import Coil
from harmbench.cohorts.phantom.spin_echo import SpinEcho


@dataclass(frozen=True, kw_only=True)
class Scanner:
    """A scanner, its protocol and the brain extraction of its site.

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
    filtering
        FWHM in mm of the smoothing that reconstruction and registration add.
    transmit
        Fall of B1+ from the centre of the head to its surface, as a fraction.
    coil
        Its receive coil.
    noise
        Standard deviation of the noise of an acquired voxel, real and imaginary, over the
        nominal signal of white matter, at the centre of the head without acceleration.
    ripple
        Standard deviation of the logarithm of the receive sensitivity that the model of the
        coil leaves out, which is the same in all sessions.
    acceleration
        Rise of the noise in the middle of the head by parallel imaging: g-factor minus 1.
    extraction
        How its site takes the skull off.
    """

    model: str
    tesla: float
    sequence: Mprage | SpinEcho
    voxel: tuple[float, float, float]
    filtering: float
    transmit: float
    coil: Coil
    ripple: float
    noise: float
    acceleration: float
    extraction: Extraction

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

# Protocols: Table 1. Everything else is of this project, calibrated on real scans: see
# docs/phantom.md.
SCANNERS: dict[str, Scanner] = {
    "target": Scanner(
        model="TIM Trio",
        tesla=3.0,
        sequence=_TRIO,
        voxel=(1.0, 1.0, 1.0),
        filtering=1.2,
        transmit=0.34,
        coil=Coil(12, 70.0, 0.15, 0.50),
        ripple=0.080,
        noise=0.031,
        acceleration=0.25,
        extraction=Extraction(offset=0.7, scatter=0.2, bias=0.5, roughness=0.8),
    ),
    "domain1": Scanner(
        model="Magnetom Vida",
        tesla=3.0,
        sequence=_STANDARD_3T,
        voxel=(1.2, 1.05, 1.05),
        filtering=1.2,
        transmit=0.36,
        coil=Coil(20, 60.0, 0.15, 0.70),
        ripple=0.080,
        noise=0.026,
        acceleration=0.40,
        extraction=Extraction(offset=1.2, scatter=0.2, bias=0.6, roughness=0.9),
    ),
    "domain2": Scanner(
        model="Vision",
        tesla=1.5,
        sequence=_VISION,
        voxel=(1.25, 1.0, 1.0),
        filtering=1.2,
        transmit=0.05,
        coil=Coil(8, 160.0, 0.10, 0.0),
        ripple=0.030,
        noise=0.031,
        acceleration=0.0,
        extraction=Extraction(offset=0.4, scatter=0.2, bias=0.5, roughness=0.9),
    ),
    "domain3": Scanner(
        model="Biograph mMR",
        tesla=3.0,
        sequence=_STANDARD_3T,
        voxel=(1.2, 1.05, 1.05),
        filtering=1.1,
        transmit=0.34,
        coil=Coil(16, 65.0, 0.20, 0.30),
        ripple=0.080,
        noise=0.030,
        acceleration=0.40,
        extraction=Extraction(offset=1.8, scatter=0.25, bias=0.7, roughness=1.0),
    ),
    "domain4": Scanner(
        model="TIM Trio",
        tesla=3.0,
        sequence=_TRIO,
        voxel=(1.0, 1.0, 1.0),
        filtering=1.3,
        transmit=0.34,
        coil=Coil(12, 70.0, 0.15, 0.40),
        ripple=0.080,
        noise=0.034,
        acceleration=0.25,
        extraction=Extraction(offset=0.9, scatter=0.2, bias=0.5, roughness=0.8),
    ),
}
