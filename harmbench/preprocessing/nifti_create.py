"""Create NIfTI files of volumes, which every program reads alike."""

from __future__ import annotations

import gzip
from typing import Any

import numpy as np
import numpy.typing as npt

from harmbench.preprocessing.nifti_read import Affine

_MNI152, _SCANNER = 4, 1  # codes of NIfTI for the space of an affine
_LEVEL = 1  # of the compression: noise hardly shrinks, and higher levels take several times as long


def nifti_content(data: npt.NDArray[Any], affine: Affine, *, in_mni: bool = False) -> bytes:
    """Return an uncompressed NIfTI file.

    Both matrices of the header, sform and qform, contain the affine. If the affine has a shear,
    which a qform cannot describe, the header has a sform only.

    Parameters
    ----------
    data
        `(X, Y, Z)`: the type of the voxels is kept, without scaling; a mask is stored as uint8.
    affine
        `(4, 4)`: from voxel index to millimetres.
    in_mni
        Whether the millimetres are of MNI152; else of the scanner.
    """
    import nibabel as nib

    voxels = np.asarray(data, np.uint8) if data.dtype == bool else np.ascontiguousarray(data)
    image = nib.Nifti1Image(voxels, affine)  # type: ignore[no-untyped-call]
    code = _MNI152 if in_mni else _SCANNER
    image.set_sform(affine, code)  # type: ignore[no-untyped-call]
    image.set_qform(affine, code)  # type: ignore[no-untyped-call]
    if not np.allclose(image.get_qform(), affine, atol=1e-3):  # type: ignore[no-untyped-call]
        image.set_qform(affine, 0)  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units("mm")  # type: ignore[no-untyped-call]
    content: bytes = image.to_bytes()
    return content


def nifti_file(data: npt.NDArray[Any], affine: Affine, *, in_mni: bool = False) -> bytes:
    """Return a compressed NIfTI file: see `nifti_content`; equal voxels give equal bytes."""
    # Without the time of writing, which would be part of the bytes.
    return gzip.compress(nifti_content(data, affine, in_mni=in_mni), _LEVEL, mtime=0)
