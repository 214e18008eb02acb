"""The spin echo, for the T2-weighted images of an anatomy."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from harmbench.cohorts.phantom.relaxation import Relaxation


@dataclass(frozen=True, kw_only=True)
class SpinEcho:
    """A spin echo of 90 and 180 degree pulses, as `Mprage` is used. Times in s.

    Attributes
    ----------
    repetition
        TR.
    echo_time
        TE, of the echo at the centre of k-space in a train.
    """

    repetition: float
    echo_time: float

    @property
    def parameters(self) -> dict[str, float]:
        """The timing under the names that BIDS has for it."""
        return {"RepetitionTime": self.repetition, "EchoTime": self.echo_time}

    def signal(self, t1: Tensor, b1: Tensor) -> Tensor:
        """Return the signal of spins, before T2 and proton density: `1 - exp(-TR / T1)`.

        Pulses that miss their angles excite sin(flip) and refocus sin(flip / 2)^2 of the
        magnetization (Hahn, Phys Rev 1950;80:580).

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
        return torch.sin(math.pi / 2 * b1) ** 3 * -torch.expm1(-self.repetition / t1)

    def transverse(self, tissue: Relaxation) -> float:
        """Return what scales the signal of a tissue: water content and T2 decay, in [0, 1]."""
        return tissue.proton_density * math.exp(-self.echo_time / tissue.t2)
