"""Memory that the work on a scan needs, estimated from the header of its file."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import nibabel as nib
import numpy as np
from nibabel.spatialimages import SpatialImage

from harmbench.preprocessing.masking import BrainSource

# Measured on scans of 1.3, 5 and 42 million voxels: 12 to 61 bytes a voxel to harmonise a scan,
# 13 to 26 to prepare it. The rest of a process does not depend on the scan.
HARMONIZE_BYTES_PER_VOXEL, PREPARE_BYTES_PER_VOXEL = 64, 28
_PROCESS = 500 * 2**20
# A tool that extracts the brain works before the rest, so its memory is not added.
_EXTRACTION = 1300 * 2**20


def memory_need(source: BrainSource, bytes_per_voxel: int) -> int:
    """Estimate the memory in bytes of a process that works on a scan.

    Parameters
    ----------
    source
        The scan, and how its brain is extracted. A file that cannot be read needs no memory of
        its own: it is left out later.
    bytes_per_voxel
        `HARMONIZE_BYTES_PER_VOXEL` or `PREPARE_BYTES_PER_VOXEL`.
    """
    need = _PROCESS + bytes_per_voxel * _voxels(source.path)
    return need if source.extractor is None else max(need, _EXTRACTION)


def _voxels(path: Path) -> int:
    try:
        return int(np.prod(cast("SpatialImage", nib.load(path)).shape[:3]))
    except Exception:  # nibabel raises errors of many types for damaged headers
        return 0
