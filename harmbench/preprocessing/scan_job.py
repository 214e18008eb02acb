"""Preprocessing of one scan: read, mask, register, resample, normalise, write."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from harmbench.data.cohort_writer import write_row
from harmbench.data.prepare_options import MINMAX
from harmbench.data.scans import Grid
from harmbench.errors import BadScanError, UserError
from harmbench.preprocessing.bias_field import correct_bias_field
from harmbench.preprocessing.brain_tools import ToolError
from harmbench.preprocessing.mask_agreement import CheckedRegistration, register_checked
from harmbench.preprocessing.masking import BrainSource, HeadError, MaskedScan, mask_scan
from harmbench.preprocessing.nifti_read import Array, Volume, load_labels, load_volume
from harmbench.preprocessing.normalization import normalization
from harmbench.preprocessing.registration import Registration
from harmbench.preprocessing.registration_cache import cached_pair_registration
from harmbench.preprocessing.registration_quality import DOUBTFUL_CORRELATION
from harmbench.preprocessing.resampling import resample_brain, resample_labels

# The values of a label volume that are CSF, grey matter and white matter.
Tissues = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]

# A file holds a head if this many times the brain's voxels are not zero outside the brain.
_HEAD = 0.2


@dataclass(frozen=True, kw_only=True)
class ScanJob:
    """One scan to prepare.

    Attributes
    ----------
    source
        The T1w volume, and how its brain is masked.
    labels, tissues
        The label volume and the meaning of its values; both None without labels.
    folder, row
        Destination of the prepared scan.
    grid
        The grid to prepare it on.
    home
        The folder that caches registrations and masks.
    normalization
        Name of the intensity normalisation. If it is a learned one, intensities stay
        unscaled and the scan's landmarks are returned.
    partner
        The scan of the same subject that it is registered to, or None.
    n4
        Whether to correct the bias field.
    """

    source: BrainSource
    labels: Path | None
    tissues: Tissues | None
    folder: Path
    row: int
    grid: Grid
    home: Path
    normalization: str = MINMAX
    partner: BrainSource | None = None
    n4: bool = False


@dataclass(frozen=True, kw_only=True)
class PreparedScan:
    """Result of a scan job.

    Attributes
    ----------
    error
        Why the scan cannot be used, or None.
    head
        Whether the reason is that a brain mask is missing.
    tool_failed
        Whether the reason is a failure of the tool for brain extraction.
    content, partner_content
        Digests of everything that its brain, and its partner's, depends on.
    labelled
        Whether labels were written.
    label_error
        Why the labels cannot be used, or None.
    pair_error
        Why it could not be registered to its partner, or None.
    landmarks
        Input to a learned normalisation; empty for others.
    details
        Processing steps and measurements, as JSON types.
    """

    error: str | None = None
    head: bool = False
    tool_failed: bool = False
    content: str | None = None
    partner_content: str | None = None
    labelled: bool = False
    label_error: str | None = None
    pair_error: str | None = None
    landmarks: tuple[float, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)


def run_job(job: ScanJob) -> PreparedScan:
    """Prepare one scan and write it to its row.

    Raises
    ------
    UserError
        If the prepared scan cannot be stored.
    """
    try:
        volume = load_volume(job.source.path)
        scan = mask_scan(volume, job.source, job.home)
        checked = register_checked(scan, job.source.path.name, job.home)
        brain = correct_bias_field(scan.brain)[0] if job.n4 else scan.brain
    except BadScanError as error:
        return PreparedScan(
            error=str(error),
            head=isinstance(error, HeadError),
            tool_failed=isinstance(error, ToolError),
        )
    to_template = checked.registration
    to_partner, partner_content, pair_error = _register_to_partner(job, scan, to_template)
    tissues, label_error = _read_tissues(job, scan)

    registration = to_partner or to_template
    image, mask = resample_brain(brain, registration, job.grid)
    labels = None
    if tissues is not None:
        labels = resample_labels(tissues, mask, brain, registration, job.grid)

    normalize = normalization(job.normalization)
    image = normalize.first_pass(image, mask)

    arrays = {"images": image, "masks": mask} | ({} if labels is None else {"labels": labels})
    try:
        for name, array in arrays.items():
            write_row(job.folder, name, job.row, array)
    except OSError as error:
        raise UserError(f"cannot write the prepared scan to {job.folder}: {error}") from error
    return PreparedScan(
        content=scan.content,
        partner_content=partner_content,
        labelled=labels is not None,
        label_error=label_error,
        pair_error=pair_error,
        landmarks=normalize.landmarks(image, mask),
        details=_details(job, volume, scan, checked, to_partner),
    )


def _register_to_partner(
    job: ScanJob, scan: MaskedScan, to_template: Registration
) -> tuple[Registration | None, str | None, str | None]:
    """Return the registration by way of the partner, the partner's content, and the error."""
    if job.partner is None:
        return None, None, None
    try:
        pair, content = cached_pair_registration(scan, to_template, job.partner, job.home)
    except BadScanError as error:
        return None, None, str(error)
    return pair, content, None


def _read_tissues(
    job: ScanJob, scan: MaskedScan
) -> tuple[tuple[Array, Array, Array] | None, str | None]:
    """Return indicators of the three tissues on the brain's voxels, and the error."""
    if job.labels is None or job.tissues is None:
        return None, None
    try:
        labels = scan.brain.crop(np.rint(load_labels(job.labels, scan.volume).data))
    except BadScanError as error:
        return None, str(error)
    csf, grey, white = (np.isin(labels, values).astype(np.float32) for values in job.tissues)
    if not any(tissue[scan.brain.mask].any() for tissue in (csf, grey, white)):
        return None, f"{job.labels.name} has none of the recipe's label values in the brain"
    return (csf, grey, white), None


def _details(
    job: ScanJob,
    volume: Volume,
    scan: MaskedScan,
    checked: CheckedRegistration,
    to_partner: Registration | None,
) -> dict[str, Any]:
    """Return processing steps and measurements for the cohort's table."""
    to_template = checked.registration
    outside = np.count_nonzero(volume.data) - np.count_nonzero(scan.volume.data)
    litres = round(np.count_nonzero(scan.brain.mask) * volume.voxel_volume / 1e6, 4)
    return {
        "shape": list(volume.data.shape),
        "voxel_size": [round(size, 4) for size in volume.voxel_size],
        "has_head": not scan.stripped and bool(outside > _HEAD * np.count_nonzero(scan.brain.mask)),
        "head_litres" if job.source.heads else "brain_litres": litres,
        "mask": None if job.source.mask is None else job.source.mask.name,
        "brain_extraction": scan.extraction,
        "mask_dice": None if checked.agreement is None else round(checked.agreement.dice, 4),
        "mask_doubts": list(checked.doubts),
        "bias_correction": f"N4, SimpleITK {version('simpleitk')}" if job.n4 else None,
        "space": "MNI152, affine",
        "normalization": job.normalization,
        "mni_to_scan": (to_partner or to_template).matrix,
        "correlation": round(to_template.correlation, 4),
        "scales": [round(scale, 4) for scale in to_template.scales],
        "registration_starts": to_template.starts,
        "geometry": list(volume.facts.notes),
        "voxels_filled": scan.voxels_filled,
        "doubtful": to_template.correlation < DOUBTFUL_CORRELATION,
        "pair_correlation": None if to_partner is None else round(to_partner.correlation, 4),
    }
