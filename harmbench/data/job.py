"""Preparing one scan of a file into its row of a cohort, wherever that is done."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from harmbench.data.cohort import write_row
from harmbench.data.io import Array, Volume, load_brain, load_labels
from harmbench.data.prepare import VERSION, Brain, extract, prepare
from harmbench.data.register import DOUBTFUL_CORRELATION, Registration, register
from harmbench.errors import BadScanError, UserError
from harmbench.hashing import digest
from harmbench.scans import Grid

# The values of a label volume that are CSF, grey matter and white matter.
Tissues = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True)
class Job:
    """One scan to prepare.

    Attributes
    ----------
    path
        The T1w volume.
    content
        Digest of that file.
    labels, tissues
        The label volume and what its values mean; both None without labels.
    folder, row
        Where the prepared scan goes.
    grid
        The grid to prepare it on.
    home
        Where registrations are kept.
    """

    path: Path
    content: str | None
    labels: Path | None
    tissues: Tissues | None
    folder: Path
    row: int
    grid: Grid
    home: Path


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Attributes
    ----------
    error
        Why the scan cannot be used, or None.
    labelled
        Whether labels were written.
    label_error
        Why the labels cannot be used, or None.
    details
        What was done and measured, as JSON types.
    """

    error: str | None = None
    labelled: bool = False
    label_error: str | None = None
    details: dict[str, Any] = field(default_factory=dict)


def run_job(job: Job) -> Outcome:
    """Prepare one scan into its row.

    Raises
    ------
    UserError
        If the prepared scan cannot be stored.
    """
    try:
        volume = load_brain(job.path)
        brain = extract(volume)
        registration = _registered(job, brain)
    except BadScanError as error:
        return Outcome(error=str(error))
    labels, label_error = None, None
    if job.labels is not None and job.tissues is not None:
        try:
            labels = _tissues(job.labels, volume, brain, job.tissues)
        except BadScanError as error:
            label_error = str(error)
    prepared = prepare(brain, registration, job.grid, labels)
    try:
        write_row(job.folder / "images.npy", job.row, prepared.image)
        write_row(job.folder / "masks.npy", job.row, prepared.mask)
        if prepared.labels is not None:
            write_row(job.folder / "labels.npy", job.row, prepared.labels)
    except OSError as error:
        raise UserError(f"the prepared scans cannot be stored: {error}") from error
    details = {
        "shape": list(volume.data.shape),
        "voxel_size": [round(size, 4) for size in volume.voxel_size],
        "brain_litres": round(np.count_nonzero(brain.mask) * volume.voxel_volume / 1e6, 4),
        "space": "MNI152, affine",
        "normalization": "slice min-max",
        "mni_to_scan": registration.matrix,
        "correlation": round(registration.correlation, 4),
        "doubtful": registration.correlation < DOUBTFUL_CORRELATION,
    }
    return Outcome(labelled=labels is not None, label_error=label_error, details=details)


def _registered(job: Job, brain: Brain) -> Registration:
    """Register a brain, or recall how it was registered.

    Registering is most of the work and does not depend on grid or recipe, so one result
    serves every cohort with this scan; it is small enough to be kept for good.
    """
    path = job.home / "registrations" / f"{digest('registration', VERSION, job.content)}.json"
    try:
        stored = json.loads(path.read_text())
        matrix = tuple(tuple(float(value) for value in row) for row in stored["matrix"])
        return Registration(matrix, float(stored["correlation"]))
    except (OSError, ValueError, KeyError):
        pass
    registration = register(brain)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Written elsewhere and then named, so that nobody ever reads half of it.
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as stream:
        json.dump(asdict(registration), stream)
    Path(stream.name).replace(path)
    return registration


def _tissues(
    path: Path, volume: Volume, brain: Brain, values: Tissues
) -> tuple[Array, Array, Array]:
    labels = brain.cut(np.rint(load_labels(path, volume).data))
    csf, grey, white = (np.isin(labels, tissue).astype(np.float32) for tissue in values)
    if not any(tissue[brain.mask].any() for tissue in (csf, grey, white)):
        raise BadScanError(f"{path.name} has none of the recipe's label values in the brain")
    return csf, grey, white
