"""Second pass of a learned normalisation over the rows of a prepared cohort."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from harmbench.data.cohort_writer import write_row
from harmbench.data.scan_files import array_path
from harmbench.errors import UserError
from harmbench.preprocessing.normalization import normalization
from harmbench.preprocessing.normalization.base import Normalization, Standard
from harmbench.util.processes import in_processes
from harmbench.util.progress import Progress

_ROWS_PER_WORKER = 50  # with fewer, starting a process takes longer than it saves


def normalize_row(row_path: tuple[Path, int], name: str, standard: Standard) -> None:
    """Normalise the unscaled scan in one row of a domain's arrays, in place.

    Raises
    ------
    UserError
        If it cannot be stored.
    """
    folder, row = row_path
    image, mask = (np.load(array_path(folder, name, row)) for name in ("images", "masks"))
    try:
        write_row(folder, "images", row, normalization(name)(image, mask, standard))
    except OSError as error:
        raise UserError(f"cannot write the normalised scan to {folder}: {error}") from error


def normalize_rows(
    method: Normalization,
    training: Sequence[Standard],
    rows: Sequence[tuple[Path, int]],
    progress: Progress,
) -> Standard:
    """Learn the standard, and normalise all unscaled rows with it.

    Parameters
    ----------
    method
        The normalisation; if it learns nothing, nothing is done.
    training
        Landmarks of the target's training scans.
    rows
        Folder and row of every scan.
    progress
        Shows a progress bar.

    Returns
    -------
    tuple
        The standard.
    """
    if not method.learns:
        return ()
    standard = method.standard(training)
    finished = in_processes(normalize_row, rows, method.name, standard, least=_ROWS_PER_WORKER)
    with contextlib.closing(finished):
        for _ in progress.track(finished, "normalising scans", len(rows)):
            pass
    return standard
