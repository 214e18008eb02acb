"""Normalising the rows of a prepared cohort."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from harmbench.data.cohort_writer import write_row
from harmbench.errors import UserError
from harmbench.preprocessing.normalization import Normalization, Standard, normalization
from harmbench.util.processes import in_processes
from harmbench.util.progress import Progress

_ROWS_PER_WORKER = 50  # fewer do not pay for starting a process


def normalize_row(place: tuple[Path, int], name: str, standard: Standard) -> None:
    """Normalise a scan in its row of a domain's arrays, where it lies as `unscaled` left it.

    Raises
    ------
    UserError
        If it cannot be stored.
    """
    folder, row = place
    image = np.array(np.load(folder / "images.npy", mmap_mode="r")[row])
    mask = np.array(np.load(folder / "masks.npy", mmap_mode="r")[row])
    try:
        write_row(folder / "images.npy", row, normalization(name)(image, mask, standard))
    except OSError as error:
        raise UserError(f"the prepared scans cannot be stored: {error}") from error


def normalize_rows(
    way: Normalization,
    training: Sequence[Standard],
    places: Sequence[tuple[Path, int]],
    progress: Progress,
) -> Standard:
    """Learn the standard, and normalise by it what was left unscaled.

    Parameters
    ----------
    way
        How to normalise; nothing is done for one that learns nothing.
    training
        Landmarks of the target's training scans.
    places
        Folder and row of every scan.
    progress
        Where it is shown.

    Returns
    -------
    tuple
        The standard.
    """
    if not way.learns:
        return ()
    standard = way.standard(training)
    finished = in_processes(normalize_row, places, way.name, standard, least=_ROWS_PER_WORKER)
    for _ in progress.track(finished, "normalising scans", len(places)):
        pass
    return standard
