"""Create NIfTI files of volumes."""

from __future__ import annotations

import gzip
from typing import Any

import numpy as np
import numpy.typing as npt

from harmbench.preprocessing.nifti_read import Affine

_MNI152, _SCANNER = 4, 1  # codes of NIfTI for the space of an affine
_LEVEL = 6  # of the compression


def nifti_file(data: npt.NDArray[Any], affine: Affine, *, in_mni: bool = False) -> bytes:
    """Return a compressed NIfTI file; equal voxels give equal bytes.

    Parameters
    ----------
    data
        `(X, Y, Z)`; the type of the voxels is kept.
    affine
        `(4, 4)`: from voxel index to millimetres.
    in_mni
        Whether the millimetres are of MNI152; else of the scanner.
    """
    import nibabel as nib

    image = nib.Nifti1Image(np.ascontiguousarray(data), affine)  # type: ignore[no-untyped-call]
    code = _MNI152 if in_mni else _SCANNER
    image.set_sform(affine, code)  # type: ignore[no-untyped-call]
    image.set_qform(affine, code)  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units("mm")  # type: ignore[no-untyped-call]
    # Without the time of writing, which would be part of the bytes.
    return gzip.compress(image.to_bytes(), _LEVEL, mtime=0)
