"""Preparing one scan file into its row of a cohort."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from harmbench.data.cohort_writer import write_row
from harmbench.data.prepare_options import DEFAULT_NORMALIZATION
from harmbench.data.scans import Grid
from harmbench.errors import BadScanError, UserError
from harmbench.preprocessing.bias_field import without_bias
from harmbench.preprocessing.brain import BrainSource, cut
from harmbench.preprocessing.masking import Brain
from harmbench.preprocessing.nifti_read import Array, HeadError, Volume, load_labels
from harmbench.preprocessing.normalization import normalization
from harmbench.preprocessing.prepare import prepare
from harmbench.preprocessing.registration import (
    DOUBTFUL_CORRELATION,
)
from harmbench.preprocessing.registration_cache import registered, registered_to

# The values of a label volume that are CSF, grey matter and white matter.
Tissues = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True)
class ScanJob:
    """One scan to prepare.

    Attributes
    ----------
    source
        The T1w volume, and how its brain is cut out.
    partner
        The scan of the same subject that it is registered to, or None.
    labels, tissues
        The label volume and what its values mean; both None without labels.
    folder, row
        Where the prepared scan goes.
    grid
        The grid to prepare it on.
    home
        Where registrations are kept.
    normalization
        Name of how intensities are normalised. By one that learns, they are left as they
        are and the scan's landmarks are reported.
    n4
        Whether the bias field is corrected.
    """

    source: BrainSource
    labels: Path | None
    tissues: Tissues | None
    folder: Path
    row: int
    grid: Grid
    home: Path
    normalization: str = DEFAULT_NORMALIZATION
    partner: BrainSource | None = None
    n4: bool = False


@dataclass(frozen=True)
class PreparedScan:
    """What became of a job.

    Attributes
    ----------
    error
        Why the scan cannot be used, or None.
    head
        Whether that is for want of a mask of its brain.
    content, partner_content
        Digests of all that its brain was cut out of, and its partner's.
    labelled
        Whether labels were written.
    label_error
        Why the labels cannot be used, or None.
    pair_error
        Why it could not be registered to its partner, or None.
    landmarks
        What a normalisation that learns is to learn from.
    details
        What was done and measured, as JSON types.
    """

    error: str | None = None
    head: bool = False
    content: str | None = None
    partner_content: str | None = None
    labelled: bool = False
    label_error: str | None = None
    pair_error: str | None = None
    landmarks: tuple[float, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)


def run_job(job: ScanJob) -> PreparedScan:
    """Prepare one scan into its row.

    Raises
    ------
    UserError
        If the prepared scan cannot be stored.
    """
    try:
        own = cut(job.source, job.home)
        volume, brain = own.volume, own.brain
        registration = registered(own.content, job.home, brain)
        shown = without_bias(brain)[0] if job.n4 else brain
    except BadScanError as error:
        return PreparedScan(error=str(error), head=isinstance(error, HeadError))
    pair, pair_error, partner_content = None, None, None
    if job.partner is not None:
        try:
            pair, partner_content = registered_to(job.partner, job.home, own, registration)
        except BadScanError as error:
            pair_error = str(error)
    labels, label_error = None, None
    if job.labels is not None and job.tissues is not None:
        try:
            labels = _tissues(job.labels, volume, brain, job.tissues)
        except BadScanError as error:
            label_error = str(error)
    way = normalization(job.normalization)
    prepared = prepare(shown, pair or registration, job.grid, labels, way.first_pass)
    try:
        write_row(job.folder / "images.npy", job.row, prepared.image)
        write_row(job.folder / "masks.npy", job.row, prepared.mask)
        if prepared.labels is not None:
            write_row(job.folder / "labels.npy", job.row, prepared.labels)
    except OSError as error:
        raise UserError(f"the prepared scans cannot be stored: {error}") from error
    litres = round(np.count_nonzero(brain.mask) * volume.voxel_volume / 1e6, 4)
    details = {
        "shape": list(volume.data.shape),
        "voxel_size": [round(size, 4) for size in volume.voxel_size],
        "head_litres" if job.source.heads else "brain_litres": litres,
        "mask": None if job.source.mask is None else job.source.mask.name,
        "brain_extraction": own.how,
        "bias_correction": f"N4, SimpleITK {version('simpleitk')}" if job.n4 else None,
        "space": "MNI152, affine",
        "normalization": job.normalization,
        "mni_to_scan": (pair or registration).matrix,
        "correlation": round(registration.correlation, 4),
        "doubtful": registration.correlation < DOUBTFUL_CORRELATION,
        "pair_correlation": None if pair is None else round(pair.correlation, 4),
    }
    return PreparedScan(
        content=own.content,
        partner_content=partner_content,
        labelled=labels is not None,
        label_error=label_error,
        pair_error=pair_error,
        landmarks=way.landmarks(prepared.image, prepared.mask),
        details=details,
    )


def _tissues(
    path: Path, volume: Volume, brain: Brain, values: Tissues
) -> tuple[Array, Array, Array]:
    labels = brain.cut(np.rint(load_labels(path, volume).data))
    csf, grey, white = (np.isin(labels, tissue).astype(np.float32) for tissue in values)
    if not any(tissue[brain.mask].any() for tissue in (csf, grey, white)):
        raise BadScanError(f"{path.name} has none of the recipe's label values in the brain")
    return csf, grey, white
