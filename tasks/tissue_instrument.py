"""What every instrument that finds three tissues offers to the tasks."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from torch import Tensor

from harmbench import Instrument, Scans

TISSUES = {"csf": 1, "gm": 2, "wm": 3}  # values of the tissue labels


class TissueInstrument(Instrument):
    """Finds fluid, grey and white matter.

    Attributes
    ----------
    on_slices
        Whether it can also segment a single slice, as for pictures.
    """

    on_slices: ClassVar[bool] = True

    @property
    @abstractmethod
    def digest(self) -> str:
        """Content hash of what the result depends on beside the scan."""

    @abstractmethod
    def segmented(self, scans: Scans) -> tuple[Scans, Tensor]:
        """Return what `forward` and `probabilities` return, by one pass over the scans."""

    def probabilities(self, scans: Scans) -> Tensor:
        """Return the probability of each of the `TISSUES`: `(N, 3, S, H, W)`, 0 outside the brain.

        Parameters
        ----------
        scans
            Images `(N, S, H, W)` in [0, 1], on any device.
        """
        return self.segmented(scans)[1]

    def forward(self, scans: Scans) -> Scans:
        """Find the tissues of N scans.

        Parameters
        ----------
        scans
            Images `(N, S, H, W)` in [0, 1], on any device.

        Returns
        -------
        Scans
            With `predicted`, `(N, S, H, W)` uint8 on the device of the images: the values of
            `TISSUES`, and 0 elsewhere.
        """
        return self.segmented(scans)[0]
