"""Comparison of a scan with the scans that a fit has seen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from harmbench.data.appearance import appearance, shading
from harmbench.execution.compute.fitted import find_fit
from harmbench.harmonization.harmonizer import Harmonizer
from harmbench.harmonization.shading_distance import shading_difference
from harmbench.preprocessing.brain import Brain
from harmbench.preprocessing.normalization import normalization
from harmbench.preprocessing.registration import Registration
from harmbench.preprocessing.resampling import resample_brain

# Distance from the median, in standard deviations, above which a measure is reported; and its
# increase with few subjects. Calibrated on scans that a fit has not seen: see docs/study.md.
_MOST, _FEW_SUBJECTS = 3.5, 4.0
# With fewer subjects the variation between subjects is unknown.
_LEAST_SUBJECTS = 4
# Factor between a voxel size and the nearest one seen.
_VOXEL_FACTOR = 1.5


@dataclass(frozen=True)
class ScanMeasure:
    """How a measure is named and compared.

    Attributes
    ----------
    title
        Its name in messages.
    floor
        Smallest standard deviation to assume: differences below it do not matter.
    blind
        How far a scan may be from all that a blind method has seen, which is another scanner:
        the distances allowed below the smallest and above the largest value.
    """

    title: str
    floor: float
    blind: tuple[float, float] = (math.inf, math.inf)


def _sharpness(direction: str) -> ScanMeasure:
    return ScanMeasure(f"sharpness {direction}", 0.004, blind=(0.02, 0.03))


_DIRECTIONS = {
    "z": "from slice to slice",
    "y": "from back to front",
    "x": "from left to right",
}
_MEASURES = {
    **{
        f"percentile_{p}": ScanMeasure(f"intensity ({p}th percentile)", 0.01)
        for p in (5, 25, 50, 75, 95)
    },
    **{f"sharpness_{axis}": _sharpness(title) for axis, title in _DIRECTIONS.items()},
    **{
        f"texture_{axis}": ScanMeasure(f"texture {title}", 0.004)
        for axis, title in _DIRECTIONS.items()
    },
    "noise": ScanMeasure("noise", 0.002, blind=(math.inf, 0.01)),
    "contrast": ScanMeasure("contrast between inner brain and rim", 0.03, blind=(0.4, math.inf)),
    "litres": ScanMeasure("brain volume on the grid in litres", 0.03, blind=(0.15, 0.15)),
}


@dataclass(frozen=True)
class Familiarity:
    """How a scan compares with the scans that a fit has seen.

    Attributes
    ----------
    domain, scans, blind
        Domain and number of the seen scans, and whether the method is blind: it has not seen
        the domain that it harmonises, so its intensities and texture are not compared.
    differences
        The large differences, a text each.
    """

    domain: str
    scans: int
    blind: bool
    differences: tuple[str, ...]

    @property
    def record(self) -> dict[str, Any]:
        """The record in a sidecar."""
        return {
            "Domain": self.domain,
            "Scans": self.scans,
            "OfTargetOnly": self.blind,
            "Differences": list(self.differences),
        }


def warning_of(record: Mapping[str, Any] | None) -> str | None:
    """Return the differences in the record of a sidecar as one text; None without any."""
    if record is None or not record["Differences"]:
        return None
    return (
        f"unlike the scans of '{record['Domain']}' in the fit: {', '.join(record['Differences'])}"
    )


def familiarity(
    harmonizer: Harmonizer,
    brain: Brain,
    registration: Registration,
    voxel_size: Sequence[float],
) -> Familiarity | None:
    """Compare a scan with the scans that a fit has seen.

    Parameters
    ----------
    harmonizer
        The fitted method.
    brain, registration
        The scan's brain, prepared like the scans of the fit, and its registration to MNI152.
    voxel_size
        Of the scan as it was acquired, in mm.

    Returns
    -------
    Familiarity or None
        None for a method without a fit, or a fit that has no summary of its scans.
    """
    seen = None if harmonizer.fit is None else _seen(harmonizer.home, harmonizer.fit)
    if seen is None:
        return None
    image, mask = resample_brain(brain, registration, harmonizer.grid)
    normalize = normalization(harmonizer.normalization)
    normalized, spacing = normalize(image, mask, harmonizer.standard), harmonizer.grid.spacing
    measures = appearance(normalized, mask, spacing)
    sizes = [scan["voxel_size"] for scan in seen["scans"] if scan["voxel_size"] is not None]
    return Familiarity(
        seen["domain"],
        len(seen["scans"]),
        seen["blind"],
        (
            *differences(measures, seen),
            *shading_differences(shading(normalized, mask, spacing), seen),
            *voxel_differences(voxel_size, sizes),
        ),
    )


@lru_cache(maxsize=1)
def _seen(home: Path, fit: str) -> Mapping[str, Any] | None:
    seen: Mapping[str, Any] | None = find_fit(home, fit)[1].get("seen")
    return seen


def differences(measures: Mapping[str, float], seen: Mapping[str, Any]) -> list[str]:
    """List the measures of a scan that differ much from those of the seen scans.

    A measure differs if its distance from the median of the seen scans exceeds 3.5 (1 + 4 / n)
    standard deviations, for n subjects. The standard deviation is the larger of the usual one
    and 1.4826 times the median absolute deviation, and at least the measure's floor. For a
    blind method, which has seen another scanner, the scan must also be further outside the range
    of the seen scans than scanners differ.

    Parameters
    ----------
    measures
        As `appearance` returns them.
    seen
        As `harmbench.execution.compute.seen.seen_scans` returns it.
    """
    n = len({scan["subject"] for scan in seen["scans"]})
    if n < _LEAST_SUBJECTS:
        return []
    found = []
    for name, measure in _MEASURES.items():
        values = np.array([scan["appearance"].get(name, np.nan) for scan in seen["scans"]])
        values = values[np.isfinite(values)]
        if name not in measures or not len(values):
            continue
        value = measures[name]
        median = float(np.median(values))
        deviation = max(
            1.4826 * float(np.median(np.abs(values - median))), float(values.std()), measure.floor
        )
        low, high = float(values.min()), float(values.max())
        below, above = measure.blind if seen["blind"] else (0.0, 0.0)
        far = abs(value - median) > _MOST * (1 + _FEW_SUBJECTS / n) * deviation
        if far and not low - below <= value <= high + above:
            found.append(f"{measure.title} {value:.3g} (seen: {low:.3g} to {high:.3g})")
    return found


def shading_differences(values: Sequence[float | None], seen: Mapping[str, Any]) -> list[str]:
    """List the difference in shading between a scan and the seen scans, if it is large.

    A blind method harmonises other scanners, whose shading differs, so it compares none.

    Parameters
    ----------
    values
        As `harmbench.data.appearance.shading` returns them.
    seen
        As for `differences`.
    """
    if seen["blind"]:
        return []
    by_subject = {scan["subject"]: scan["shading"] for scan in seen["scans"] if "shading" in scan}
    difference = shading_difference(values, [*by_subject.values()])
    return [] if difference is None else [difference]


def voxel_differences(voxel_size: Sequence[float], seen: Sequence[Sequence[float]]) -> list[str]:
    """List the differences between the voxel size of a scan and those of the seen scans.

    The smallest and the largest side of a voxel are compared, as scans lie in any orientation.
    """
    found = []
    for title, of in (("smallest", min), ("largest", max)):
        sides = [of(size) for size in seen]
        side = of(voxel_size)
        if sides and not min(sides) / _VOXEL_FACTOR < side < max(sides) * _VOXEL_FACTOR:
            found.append(
                f"{title} voxel side {side:.3g} mm (seen: {min(sides):.3g} to {max(sides):.3g} mm)"
            )
    return found
