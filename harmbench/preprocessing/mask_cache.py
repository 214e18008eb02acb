"""Brain masks made by tools, cached on disk by the content of the scan."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from harmbench.errors import BadScanError
from harmbench.preprocessing.brain_programs import program_mask
from harmbench.preprocessing.brain_tools import Extractor, ToolError
from harmbench.preprocessing.deepbet_mask import deepbet_mask
from harmbench.preprocessing.mask_checks import size_fault
from harmbench.preprocessing.nifti_create import nifti_file
from harmbench.preprocessing.nifti_read import Volume, load_labels
from harmbench.util.files import atomic_write_bytes
from harmbench.util.hashing import digest

Mask = npt.NDArray[np.bool_]


def cached_mask(
    extractor: Extractor, volume: Volume, name: str, content: str | None, home: Path
) -> Mask:
    """Return the brain mask of a volume, from the cache or made by a tool.

    Only masks with the size of a brain are kept.

    Parameters
    ----------
    extractor
        The tool.
    volume, name, content
        The volume; the name of its scan for messages; and the digest of its file.
    home
        The folder that caches masks.

    Returns
    -------
    numpy.ndarray
        `(X, Y, Z)` bool, on the voxels of `volume`.

    Raises
    ------
    ToolError
        If the tool fails, or its mask has not the size of a brain.
    BadScanError
        If the tool finds no brain.
    """
    path = mask_path(extractor, content, home)
    mask = _load(path, volume)
    if mask is not None:
        return mask
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    # One at a time: each run needs more than a gigabyte of memory, programs use all processors.
    with FileLock(path.parent / ".lock"):
        mask = _load(path, volume)
        if mask is None:
            make = deepbet_mask if extractor.program is None else program_mask
            mask = make(extractor, volume, name)
            fault = size_fault(mask, volume)
            if fault is not None:
                raise ToolError(f"the mask that {extractor.title} made of {name} {fault}")
            atomic_write_bytes(path, nifti_file(mask, volume.affine))
    return mask


def mask_path(extractor: Extractor, content: str | None, home: Path) -> Path:
    """Return where the mask of a scan is cached."""
    name = digest("brain mask", extractor.name, extractor.version, content)
    return home / "masks" / f"{name}.nii.gz"


def _load(path: Path, volume: Volume) -> Mask | None:
    """Read a cached mask; None if it is missing, damaged or not a brain's."""
    try:
        mask = load_labels(path, volume).data > 0
    except BadScanError:
        return None
    return None if size_fault(mask, volume) else mask
