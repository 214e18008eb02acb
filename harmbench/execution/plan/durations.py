"""How long fits and cells took before: what a plan's costs are foreseen from."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harmbench.contracts.volume_method import VolumeMethod
from harmbench.execution.plan.fit import Fit
from harmbench.execution.plan.plan import PlannedCell

# Seconds of the method for a scan. To write an output and to read it takes a few hundredths of one.
WORTH_KEEPING = 0.2


@dataclass(frozen=True)
class Durations:
    """Medians over what a home folder holds.

    Attributes
    ----------
    fits
        Seconds of a fit without its parts, by method and preset.
    scans
        Seconds a scan, harmonised and scored, by method and preset.
    harmonizing
        Seconds of the method for a scan, by method and preset.
    """

    fits: Mapping[tuple[str, str], float]
    scans: Mapping[tuple[str, str], float]
    harmonizing: Mapping[tuple[str, str], float] = field(default_factory=dict)

    @classmethod
    def read(cls, home: Path) -> Durations:
        """Read the stores; what cannot be read tells nothing."""
        fits: dict[tuple[str, str], list[float]] = {}
        for content in _contents(home / "fits", "fit.json"):
            key = (str(content.get("method")), str(content.get("preset")))
            fits.setdefault(key, []).append(float(content.get("own_seconds", 0.0)))
        scans: dict[tuple[str, str], list[float]] = {}
        harmonizing: dict[tuple[str, str], list[float]] = {}
        for content in _contents(home / "cells", "result.json"):
            cell, facts = content.get("cell", {}), content.get("facts", {})
            # Reused outputs say nothing about the next cell that computes its own.
            own = not facts.get("scans_reused")
            if "cell_seconds" in facts and facts.get("test_scans") and own:
                key = (str(cell.get("method")), str(cell.get("preset")))
                scans.setdefault(key, []).append(facts["cell_seconds"] / facts["test_scans"])
                harmonizing.setdefault(key, []).append(facts["harmonize_seconds_per_scan"])
        return cls(_medians(fits), _medians(scans), _medians(harmonizing))

    def of_fit(self, fit: Fit) -> float | None:
        """Return the seconds that a fit may take, or None."""
        return self.fits.get((fit.name, fit.preset))

    def of_cell(self, planned: PlannedCell, *, reuses: bool = False) -> float | None:
        """Return the seconds that a cell may take once its fits are there, or None.

        Parameters
        ----------
        planned
            The cell.
        reuses
            Whether it uses the outputs of another cell, and so is scored only.
        """
        key = (planned.cell.method, planned.cell.preset)
        if key not in self.scans or planned.data is None:
            return None
        per_scan = self.scans[key] - (self.harmonizing.get(key, 0.0) if reuses else 0.0)
        return max(0.0, per_scan) * len(planned.data.test)

    def slow(self, planned: PlannedCell) -> bool:
        """Return whether other cells should wait for the outputs of a cell.

        That is where the method took longer before than it takes to read its outputs. A new
        method is taken for slow if it works on whole volumes, as programs do.
        """
        known = self.harmonizing.get((planned.cell.method, planned.cell.preset))
        return issubclass(planned.method, VolumeMethod) if known is None else known > WORTH_KEEPING


def _contents(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    for path in folder.glob(f"[!.]*/{name}"):
        try:
            content = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
        if isinstance(content, dict):
            yield content


def _medians(values: Mapping[tuple[str, str], list[float]]) -> dict[tuple[str, str], float]:
    return {key: statistics.median(each) for key, each in values.items()}


def duration(seconds: float) -> str:
    """Write a time for a reader.

    Examples
    --------
    >>> duration(0.4), duration(70), duration(9000)
    ('0.4 s', '1 min', '2.5 h')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
