"""A simulated scanner: target scans with a shift that no curve undoes, and a known truth."""

from __future__ import annotations

from typing import Any

from harmbench import Family, ScanSet

from .scanner_shift import ScannerShift, as_json, draw_shift
from .simulated import Simulated


class SimulatedScanner(Simulated):
    """Undo a scanner-like shift: coil field, contrast of the tissues, blur and noise.

    Test and training scans are of one simulated scanner; each scan has a session of its own.
    Where not all target scans for training and testing have tissue labels, a curve changes the
    contrast.
    """

    name = "sim-scanner"
    summary = "undo the field, tissue contrast, blur and noise of a simulated scanner"
    family = Family.SCANNERS

    def draw(
        self, scans: ScanSet, seed: int, *, labelled: bool, normalization: str
    ) -> ScannerShift:
        """Draw the scanner, and a session for every scan."""
        return draw_shift(scans, seed, self.name, tissues=labelled, normalization=normalization)

    def describe(self, scans: ScanSet, shift: ScannerShift) -> dict[str, Any]:
        """Return the drawn parameters."""
        return as_json(shift, scans)
