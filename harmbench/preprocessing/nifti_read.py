"""Step 1 of preprocessing: read a volume from its file, and check it.

`nifti_write.py` changes files and `nifti_create.py` creates them. Only this package and the Python
API (`harmbench.api`) import nibabel.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harmbench.errors import BadScanError
from harmbench.preprocessing.background import constant_background, zero_background
from harmbench.preprocessing.geometry import (
    Shape,
    VoxelLattice,
    check_affine,
    geometry_notes,
    lattice_of,
    matching_orientation,
    reoriented_affine,
    second_affine,
)
from harmbench.preprocessing.image_formats import (
    READ_ERRORS,
    first_characters,
    read_header,
    read_image,
)

Array = npt.NDArray[np.float32]
Affine = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class FileFacts:
    """What a file contains besides the voxels and the affine of its volume.

    Attributes
    ----------
    background
        Intensity of the constant background in the file; it is zero in the volume.
    undefined
        `(X, Y, Z)` bool: voxels that are NaN or infinite in the file, and zero in the volume;
        None if there is none.
    filled
        Number of undefined voxels that were filled, because they lie inside the brain.
    second_affine
        The qform, for the volume's voxels, where the header has an sform, too; or None.
    notes
        Doubts about the header, one sentence each.
    """

    background: float = 0.0
    undefined: npt.NDArray[np.bool_] | None = None
    filled: int = 0
    second_affine: Affine | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Volume:
    """A volume in closest-canonical orientation.

    Attributes
    ----------
    data
        `(X, Y, Z)` float32, finite, zero in a constant background; the axes point approximately
        to right, anterior, superior.
    affine
        `(4, 4)`: from voxel index to millimetres (right, anterior, superior).
    facts
        What else the file contains.
    """

    data: Array
    affine: Affine
    facts: FileFacts = field(default_factory=FileFacts)

    @property
    def lattice(self) -> VoxelLattice:
        """Shape and affines."""
        second = self.facts.second_affine
        x, y, z = self.data.shape
        return VoxelLattice((x, y, z), (self.affine,) if second is None else (self.affine, second))

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
    """Read a scan in closest-canonical orientation.

    Raises
    ------
    BadScanError
        If the file is missing, unreadable, truncated or damaged, contains no three-dimensional
        volume of real numbers, or has a degenerate affine.
    """
    return volume_of(read_image(path)[0], path.name)


def volume_of(image: Any, name: str) -> Volume:
    """Return the volume of a scan that nibabel has read; `name` is its file's.

    Raises
    ------
    BadScanError
        As `load_volume`.
    """
    shape = check_image(image, name)
    data, orientation = _canonical_data(image, shape, name)
    finite = np.isfinite(data)
    undefined = None
    if not finite.all():
        undefined = ~finite
        background = constant_background(data, finite)
        data = np.where(finite, zero_background(data, background), np.float32(0))
    else:
        background = constant_background(data)
        data = zero_background(data, background)
    second = second_affine(image)
    facts = FileFacts(
        background=background,
        undefined=undefined,
        second_affine=None if second is None else reoriented_affine(second, orientation, shape),
        notes=geometry_notes(image, shape, second),
    )
    affine = np.asarray(image.affine, dtype=np.float64)
    return Volume(data, reoriented_affine(affine, orientation, shape), facts)


def check_image(image: Any, name: str) -> Shape:
    """Check the header of an image, and return the shape of its volume.

    Raises
    ------
    BadScanError
        If it has not one three-dimensional volume of real numbers, or a degenerate affine.
    """
    shape, dtype = image.shape, image.get_data_dtype()
    if len(shape) < 3 or any(size != 1 for size in shape[3:]):
        raise BadScanError(f"{name} has shape {shape}; one 3-D volume is needed")
    if min(shape[:3]) < 2:
        raise BadScanError(f"{name} has shape {shape}; at least 2 voxels per axis are needed")
    if dtype.kind not in "iuf":
        raise BadScanError(f"{name} has voxels of type {dtype}; real numbers are needed")
    check_affine(np.asarray(image.affine, dtype=np.float64), name)
    x, y, z = shape[:3]
    return x, y, z


def load_labels(path: Path, like: Volume) -> Volume:
    """Read a label or mask volume on the voxels of a scan.

    The voxels agree if one affine of the file places them where one affine of the scan's header
    does, in any order of the axes. (A tool may keep only the qform of a scan that has both.)
    Undefined voxels count as 0.

    Raises
    ------
    BadScanError
        As `load_volume`, and if its voxels are not those of `like`.
    """
    import nibabel as nib

    image = read_image(path)[0]
    shape = check_image(image, path.name)
    orientation = matching_orientation(path.name, lattice_of(image), like.lattice)
    stored = _stored_data(image, shape, path.name)
    data = nib.apply_orientation(stored, orientation)  # type: ignore[no-untyped-call]
    return Volume(np.nan_to_num(data, nan=0, posinf=0, neginf=0), like.affine)


def check_headers(path: Path, mask: Path | None) -> None:
    """Check what the headers of a scan and its mask show, without reading the voxels.

    Raises
    ------
    BadScanError
        If a file is missing, not fetched or misnamed, if its header is unreadable or shows no
        usable volume, or if the voxels of the mask are not those of the scan.
    """
    scan = read_header(path)
    check_image(scan, path.name)
    if mask is not None:
        labels = read_header(mask)
        check_image(labels, mask.name)
        matching_orientation(mask.name, lattice_of(labels), lattice_of(scan))


def _canonical_data(image: Any, shape: Shape, name: str) -> tuple[Array, npt.NDArray[np.float64]]:
    """Return the voxels in canonical orientation, and the orientation that they had."""
    import nibabel as nib

    orientation = nib.io_orientation(image.affine)  # type: ignore[no-untyped-call]
    stored = _stored_data(image, shape, name)
    return nib.apply_orientation(stored, orientation), orientation  # type: ignore[no-untyped-call]


def _stored_data(image: Any, shape: Shape, name: str) -> Array:
    """Return the intensities in the file's own order of voxels."""
    try:
        return np.asarray(image.dataobj, dtype=np.float32).reshape(shape)
    except READ_ERRORS as error:
        raise BadScanError(f"{name} is truncated or corrupt: {first_characters(error)}") from error
