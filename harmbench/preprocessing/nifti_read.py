"""Step 1 of preprocessing: read a volume from its NIfTI file, and check it.

`nifti_write.py` changes files and `nifti_create.py` creates them; no other module of preprocessing
imports nibabel.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harmbench.errors import BadScanError

Array = npt.NDArray[np.float32]
Affine = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Volume:
    """A volume in closest-canonical orientation.

    Attributes
    ----------
    data
        `(X, Y, Z)` float32, finite; the axes point approximately to right, anterior, superior.
    affine
        `(4, 4)`: from voxel index to millimetres (right, anterior, superior).
    """

    data: Array
    affine: Affine

    @property
    def voxel_size(self) -> tuple[float, float, float]:
        """Edge lengths of a voxel in mm."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)

    @property
    def voxel_volume(self) -> float:
        """Volume of a voxel in mm^3."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))


def load_volume(path: Path) -> Volume:
    """Read a volume in closest-canonical orientation.

    Raises
    ------
    BadScanError
        If the file is missing, unreadable or truncated, contains no three-dimensional volume
        of finite real numbers, or has a degenerate affine.
    """
    import nibabel as nib
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError, SpatialImage

    if not path.exists():
        reason = "is a broken link; fetch its content first" if path.is_symlink() else "is missing"
        raise BadScanError(f"{path.name} {reason}")
    try:
        image = nib.load(path)
    except (ImageFileError, HeaderDataError, OSError, EOFError, zlib.error, ValueError) as error:
        raise BadScanError(f"{path.name} cannot be read: {_first_characters(error)}") from error
    if not isinstance(image, SpatialImage):
        raise BadScanError(f"{path.name} is a {type(image).__name__}; a volume is needed")
    shape, dtype = image.shape, image.get_data_dtype()
    if len(shape) < 3 or any(size != 1 for size in shape[3:]):
        raise BadScanError(f"{path.name} has shape {shape}; one 3-D volume is needed")
    if min(shape[:3]) < 2:
        raise BadScanError(f"{path.name} has shape {shape}; at least 2 voxels per axis are needed")
    if dtype.kind not in "iuf":
        raise BadScanError(f"{path.name} has voxels of type {dtype}; real numbers are needed")
    affine = np.asarray(image.affine, dtype=np.float64)
    if not np.isfinite(affine).all() or np.linalg.svd(affine[:3, :3])[1].min() < 1e-3:
        raise BadScanError(f"{path.name} has a degenerate affine: the volume of its voxels is zero")
    try:
        image = nib.as_closest_canonical(image)  # type: ignore[no-untyped-call]
        data = np.asarray(image.dataobj, dtype=np.float32).reshape(image.shape[:3])
    except (OSError, EOFError, zlib.error, ValueError, MemoryError) as error:
        raise BadScanError(
            f"{path.name} is truncated or corrupt: {_first_characters(error)}"
        ) from error
    invalid = int(np.size(data) - np.isfinite(data).sum())
    if invalid:
        raise BadScanError(f"{path.name} has non-finite voxels (NaN or infinity): {invalid}")
    return Volume(data, np.asarray(image.affine, dtype=np.float64))


def load_labels(path: Path, like: Volume) -> Volume:
    """Read a label or mask volume on the voxels of a scan.

    Raises
    ------
    BadScanError
        As `load_volume`, and if its voxels are not those of `like`.
    """
    volume = load_volume(path)
    if volume.data.shape != like.data.shape:
        raise BadScanError(
            f"{path.name} has shape {volume.data.shape}, but its scan has {like.data.shape}"
        )
    corners = np.array([[0, 0, 0, 1], [*like.data.shape, 1]]).T
    distance = np.abs((volume.affine - like.affine) @ corners).max()
    if distance > 0.1 * min(like.voxel_size):
        raise BadScanError(
            f"{path.name} is displaced from its scan by {distance:.1f} mm; check both affines"
        )
    return volume


def _first_characters(error: BaseException) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
