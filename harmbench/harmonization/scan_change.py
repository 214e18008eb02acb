"""The change that a method makes to a scan, on the scan's own voxels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from harmbench.contracts.volume_method import VolumeMethod
from harmbench.data.covariate_values import by_scan
from harmbench.data.volumes import Array, Mask
from harmbench.harmonization.harmonizer import Harmonizer
from harmbench.harmonization.stack_change import change_of_stack
from harmbench.harmonization.volume_change import volume_change
from harmbench.harmonization.whole_brain import change_in_scan, whole_stack
from harmbench.preprocessing.acquired_volume import AcquiredVolume
from harmbench.preprocessing.brain import Brain
from harmbench.preprocessing.masking import BrainSource
from harmbench.preprocessing.nifti_read import Volume
from harmbench.preprocessing.registration import Registration


@dataclass(frozen=True, eq=False, kw_only=True)
class ReadScan:
    """A scan that was read and prepared like those of the fit.

    Attributes
    ----------
    source
        The file, and how its brain was masked.
    volume, brain
        The scan as read, and its brain, with the bias field corrected if the fit's scans were.
    registration
        To the template.
    subject, session
        Names of the scan.
    covariates
        One row, for a method that declares covariates.
    """

    source: BrainSource
    volume: Volume
    brain: Brain
    registration: Registration
    subject: str
    session: str
    covariates: pd.DataFrame | None = None


@dataclass(frozen=True, eq=False)
class ScanChange:
    """A method's change.

    Attributes
    ----------
    added
        `(X, Y, Z)` float32: the values to add, zero where nothing changes.
    changed
        `(X, Y, Z)` bool: the voxels that the method's output covers.
    flags
        The method's warnings.
    facts
        Numbers for the sidecar.
    """

    added: Array
    changed: Mask
    flags: list[str]
    facts: Mapping[str, Any] = field(default_factory=dict)


def scan_change(
    harmonizer: Harmonizer, scan: ReadScan, *, blend: float, all_slices: bool
) -> ScanChange:
    """Harmonise a scan: its slices in windows or all at once, or its volume, as the method works.

    Parameters
    ----------
    harmonizer, scan
        The fitted method and the scan.
    blend, all_slices
        As of `HarmonizeOptions`; for methods that work on slices.
    """
    method = harmonizer.build()
    if isinstance(method, VolumeMethod):
        return _of_volume(harmonizer, method, scan)
    stack = whole_stack(scan.brain, scan.registration, harmonizer.grid, all_slices=all_slices)
    change, flags = change_of_stack(harmonizer, stack, scan.subject, scan.session, scan.covariates)
    added, changed = change_in_scan(
        change, stack, scan.volume, scan.brain, scan.registration, blend
    )
    facts = {
        "SlicesHarmonized": int(stack.masks.any(axis=(1, 2)).sum()),
        "SlicesBeyondGrid": len(stack.images) - harmonizer.grid.shape[0],
        "BlendMillimetres": blend,
    }
    return ScanChange(added, changed, flags, facts)


def _of_volume(harmonizer: Harmonizer, method: VolumeMethod, scan: ReadScan) -> ScanChange:
    source = AcquiredVolume(
        source=scan.source,
        registration=scan.registration,
        grid=harmonizer.grid,
        home=harmonizer.home,
        normalization=harmonizer.normalization,
        standard=harmonizer.standard,
        n4=False,
        stripped=False,
    )
    added, changed, flags = volume_change(
        method,
        source,
        scan.volume,
        scan.brain,
        subject=scan.subject,
        session=scan.session,
        domain=harmonizer.site,
        covariates=by_scan(scan.covariates, 1)[0],
        seed=harmonizer.seed,
    )
    return ScanChange(added, changed, flags, {"Space": str(method.space)})
