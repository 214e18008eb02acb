"""Facts gathered while a fit or a cell is computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harmbench.contracts.fit_progress import CurvePoint
from harmbench.data.scan_set import ScanSet
from harmbench.data.scans import Scans


@dataclass
class CellFacts:
    """Facts of a fit or a cell, which are recorded even if it fails.

    Attributes
    ----------
    facts
        Times in seconds, sizes and provenance, as JSON types.
    curves
        Values that the fit recorded by step.
    harmonizing
        Seconds spent in the method.
    """

    facts: dict[str, Any] = field(default_factory=dict)
    curves: Sequence[CurvePoint] = ()
    harmonizing: float = 0.0

    def flag(self, harmonized: Scans) -> None:
        """Keep the method's warnings, by "subject/session"."""
        for subject, session, flag in zip(
            harmonized.subjects, harmonized.sessions, harmonized.flags or (), strict=False
        ):
            if flag:
                self.facts.setdefault("flags", {})[f"{subject}/{session}"] = flag

    def failed_scans(self, reasons: Mapping[int, str], test: ScanSet) -> None:
        """Keep why a command failed on test scans, by place; they have no scores."""
        if reasons:
            names = {
                place: f"{scan.subject}/{scan.session}" for place, scan in enumerate(test.scans)
            }
            self.facts["missing"] = {names[place]: reason for place, reason in reasons.items()}

    def add_fit(self, description: Mapping[str, Any]) -> None:
        """Add the facts of a fit from its description, as in `fit.json`."""
        self.facts |= {f"fit_{name}": value for name, value in description["facts"].items()}
        self.facts |= {
            "fit_seconds": description["seconds"],
            "n_parameters": description["n_parameters"],
        }
