"""Preparing many scans at once, in processes that each fill rows of the cohort's arrays."""

from __future__ import annotations

import json
import multiprocessing
import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
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
from harmbench.progress import Progress
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


def run_jobs(jobs: Sequence[Job], progress: Progress) -> Iterator[tuple[Job, Outcome]]:
    """Do jobs on as many processes as there are cores for us, and yield each when it is done.

    What has been registered is kept, so that an interrupted preparing goes on from there.

    Raises
    ------
    UserError
        If the disk is full, or the system ended a process.
    """
    # Not all systems can tell how many cores a process may use.
    allowed = getattr(os, "sched_getaffinity", None)
    cores = len(allowed(0)) if allowed is not None else os.cpu_count() or 1
    if min(cores, len(jobs)) <= 1:
        for job in progress.track(jobs, "Preparing scans"):
            yield job, run_job(job)
        return
    pool = ProcessPoolExecutor(
        min(cores, len(jobs)),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin_worker,
    )
    try:
        futures = {pool.submit(run_job, job): job for job in jobs}
        for future in progress.track(as_completed(futures), "Preparing scans", len(jobs)):
            yield futures[future], future.result()
    except BrokenProcessPool as error:
        raise UserError(
            "the system ended a process that prepared scans, most often for want of memory; "
            "run it again on fewer cores (taskset -c 0 harmbench ...), what is done is kept"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


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


def _begin_worker() -> None:
    """Keep a worker to one core, and end it when its parent is gone, however that ended."""
    import torch

    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


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
