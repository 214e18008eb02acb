"""NIfTI files for programs outside harmbench: write a scan for them, and read their result."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from harmbench.data.volumes import Affine, Array, Mask
from harmbench.errors import BadScanError
from harmbench.preprocessing.nifti_read import load_volume

# Codes of the NIfTI header for the two coordinate systems.
_SCANNER, _MNI = 1, 4
# A program may round an affine to float32 in its own way; a real shift is larger.
_MOST_SHIFT = 0.01  # of a voxel


def write_exchange(
    path: Path, image: Array | Mask, affine: Affine, *, in_template: bool = False
) -> None:
    """Write a volume so that every program reads the same numbers at the same place.

    Both matrices of the header, sform and qform, contain the affine. If the affine has a shear,
    which a qform cannot describe, the header has a sform only.

    Parameters
    ----------
    path
        The file; compressed if its name ends in `.gz`. Its folder is created if it is missing.
    image
        `(X, Y, Z)`: float32 is written as float32, without scaling; a mask as uint8.
    affine
        `(4, 4)`: from voxel index to mm.
    in_template
        Whether the millimetres are those of MNI152, and not of the scanner.
    """
    import nibabel as nib

    code = _MNI if in_template else _SCANNER
    data: npt.NDArray[np.generic] = image.astype(np.uint8 if image.dtype == bool else np.float32)
    result = nib.Nifti1Image(data, affine)  # type: ignore[no-untyped-call]
    result.header.set_xyzt_units("mm")  # type: ignore[no-untyped-call]
    result.set_sform(affine, code)  # type: ignore[no-untyped-call]
    result.set_qform(affine, code)  # type: ignore[no-untyped-call]
    if not np.allclose(result.get_qform(), affine, atol=1e-3):  # type: ignore[no-untyped-call]
        result.set_qform(affine, 0)  # type: ignore[no-untyped-call]
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(result, path)


def read_exchange(path: Path, like: Array, affine: Affine) -> Array:
    """Read the result that a program wrote for a volume.

    The program may store the axes in another order or direction.

    Parameters
    ----------
    path
        The file of the result.
    like, affine
        `(X, Y, Z)` and `(4, 4)`: the volume that the program received.

    Returns
    -------
    numpy.ndarray
        `(X, Y, Z)` float32, finite, on the voxels of `like`.

    Raises
    ------
    BadScanError
        If the file is missing or cannot be read, if a value is not finite, or if the voxels are
        not those of `like`.
    """
    volume = load_volume(path)
    if volume.facts.undefined is not None:
        count = np.count_nonzero(volume.facts.undefined)
        raise BadScanError(
            f"the output {path.name} has non-finite voxels (NaN or infinity): {count}"
        )
    if volume.data.shape != like.shape:
        raise BadScanError(
            f"the output {path.name} has shape {volume.data.shape}, and the input has "
            f"{like.shape}; write the output on the voxels of the input"
        )
    corners = np.array(np.meshgrid(*([0, size - 1] for size in like.shape), [1])).reshape(4, -1)
    shift = float(np.linalg.norm(((volume.affine - affine) @ corners)[:3], axis=0).max())
    if shift > _MOST_SHIFT * min(np.linalg.norm(affine[:3, :3], axis=0)):
        raise BadScanError(
            f"the output {path.name} is shifted from its input by up to {shift:.2g} mm; keep the "
            "affine of the input"
        )
    return volume.data
