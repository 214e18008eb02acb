"""The MPRAGE signal equation.

One repetition of MPRAGE (Mugler and Brookeman, 1990) is: inversion, delay, a train of
N small-angle excitations, delay. Every step acts on the longitudinal magnetization
`M`, in units of its equilibrium, as an affine map `M -> slope M + offset`, so that
the steady state is the fixed point of their composition: no repetition is simulated.
Transverse magnetization is taken as spoiled before each excitation.

    recovery over t     slope exp(-t / T1)                 offset 1 - exp(-t / T1)
    excitation          slope cos(flip)                    offset 0
    n readouts          slope a^n, a = cos(flip) e         offset (1 - e) (1 - a^n) / (1 - a)
                        with e = exp(-echo spacing / T1)
    inversion           slope -efficiency                  offset 0
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Self

from torch import Tensor

from harmbench.cohorts.phantom.relaxation import Relaxation

# An adiabatic inversion in vivo loses a few per cent to T2 (0.96 is the usual figure,
# as in Marques et al., NeuroImage 2010, MP2RAGE), and does not depend on B1+.
_INVERSION_EFFICIENCY = 0.96


@dataclass(frozen=True, kw_only=True)
class Mprage:
    """The timing of an MPRAGE sequence. All times in s, the flip angle in degrees.

    Attributes
    ----------
    delay
        From the inversion to the first excitation.
    echo_spacing
        From one excitation of the train to the next.
    readouts
        Excitations in a train, which encode the partitions.
    recovery
        From the end of the train, one echo spacing after its last excitation, to the
        next inversion.
    flip
        Nominal flip angle.
    echo_time
        From an excitation to its echo.
    efficiency
        Of the inversion: 1 turns `M` into `-M`.
    """

    delay: float
    echo_spacing: float
    readouts: int
    recovery: float
    flip: float
    echo_time: float
    efficiency: float = _INVERSION_EFFICIENCY

    def __post_init__(self) -> None:
        if min(self.delay, self.recovery) < 0 or self.echo_spacing <= 0 or self.readouts < 1:
            raise ValueError(f"an MPRAGE sequence cannot be timed like this: {self}")

    @property
    def parameters(self) -> dict[str, float]:
        """The timing under the names that BIDS has for it; TI is to the centre of the train."""
        train = self.readouts * self.echo_spacing
        return {
            "RepetitionTime": round(self.delay + train + self.recovery, 4),
            "InversionTime": round(self.delay + train / 2, 4),
            "EchoTime": self.echo_time,
            "FlipAngle": self.flip,
        }

    @classmethod
    def from_inversion_time(
        cls,
        *,
        repetition: float,
        inversion: float,
        echo_spacing: float,
        readouts: int,
        flip: float,
        echo_time: float,
    ) -> Self:
        """Build a protocol from what Siemens prints: TR and TI.

        TR is from inversion to inversion, and TI from the inversion to the excitation
        that encodes the centre of k-space, the middle one of the train.

        Raises
        ------
        ValueError
            If the train does not fit.
        """
        delay = inversion - readouts // 2 * echo_spacing
        return cls(
            delay=delay,
            echo_spacing=echo_spacing,
            readouts=readouts,
            recovery=repetition - delay - readouts * echo_spacing,
            flip=flip,
            echo_time=echo_time,
        )

    @property
    def centre(self) -> int:
        """Excitations before the one that encodes the centre of k-space."""
        return self.readouts // 2

    def signal(self, t1: Tensor, b1: Tensor) -> Tensor:
        """Return the signed signal of spins at the centre of k-space, in the steady state.

        It is negative where the inverted magnetization has not yet passed through zero,
        so tissues that share a voxel have to be added before the magnitude is taken.
        T2* and proton density only scale it: see `transverse`.

        Parameters
        ----------
        t1
            T1 in s, positive; any shape.
        b1
            Achieved over nominal flip angle, broadcast against `t1`.

        Returns
        -------
        Tensor
            Transverse over equilibrium magnetization, in [-1, 1], of the broadcast shape.
        """
        flip = math.radians(self.flip) * b1
        cosine = flip.cos()
        rest = self.readouts - self.centre
        prepared = _recover(self.delay, t1)
        first = _read(self.centre, self.echo_spacing, cosine, t1)
        last = _read(rest, self.echo_spacing, cosine, t1)
        inverted = _AffineMap(t1.new_tensor(-self.efficiency), t1.new_tensor(0.0))

        to_centre = inverted.then(prepared).then(first)
        whole = to_centre.then(last).then(_recover(self.recovery, t1))
        before_inversion = whole.offset / (1 - whole.slope)
        at_centre = to_centre.slope * before_inversion + to_centre.offset
        return flip.sin() * at_centre

    def transverse(self, tissue: Relaxation) -> float:
        """Return what scales the signal of a tissue: its water content and T2* decay, in [0, 1]."""
        return tissue.proton_density * math.exp(-self.echo_time / tissue.t2_star)


class _AffineMap(NamedTuple):
    """The map `M -> slope M + offset`."""

    slope: Tensor
    offset: Tensor

    def then(self, after: _AffineMap) -> _AffineMap:
        """Return the composition: this map first, `after` second."""
        return _AffineMap(after.slope * self.slope, after.slope * self.offset + after.offset)


def _recover(time: float, t1: Tensor) -> _AffineMap:
    exponent = -time / t1
    return _AffineMap(exponent.exp(), -exponent.expm1())


def _read(count: int, spacing: float, cosine: Tensor, t1: Tensor) -> _AffineMap:
    """Return `count` times: an excitation, then recovery over one echo spacing."""
    relaxed = _recover(spacing, t1)
    step = cosine * relaxed.slope
    slope = step**count
    return _AffineMap(slope, relaxed.offset * (1 - slope) / (1 - step))
