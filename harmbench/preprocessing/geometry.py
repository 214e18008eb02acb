"""Position of a volume's voxels in space: the affines of a header, and doubts about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harmbench.errors import BadScanError

Affine = npt.NDArray[np.float64]
Shape = tuple[int, int, int]

# Smallest singular value, in mm, of an affine whose voxels have a volume.
_MIN_VOXEL = 1e-3
# Distance, in voxels, below which two affines place voxels equally.
_SAME_PLACE = 0.1
# Two affines of one header are reported from half a voxel on: most converters round.
_REPORTED = 0.5
# Angle in degrees between axes from which a shear is reported.
_MIN_SHEAR = 0.5


@dataclass(frozen=True, eq=False)
class VoxelLattice:
    """The voxels of an image: their shape, and the affines that a header states for them.

    Attributes
    ----------
    shape
        `(X, Y, Z)`.
    affines
        `(4, 4)` each: the affine in use first, and the second one of a header that has two.
    """

    shape: Shape
    affines: tuple[Affine, ...]


def lattice_of(image: Any) -> VoxelLattice:
    """Return the lattice of an image as nibabel read it, in the stored order of the axes."""
    x, y, z = image.shape[:3]
    affine, second = np.asarray(image.affine, dtype=np.float64), second_affine(image)
    return VoxelLattice((x, y, z), (affine,) if second is None else (affine, second))


def matching_orientation(
    name: str, lattice: VoxelLattice, like: VoxelLattice
) -> npt.NDArray[np.float64]:
    """Return nibabel's orientation that brings voxels to those of another lattice.

    The voxels agree if one affine places them where one affine of the other lattice does, in
    any order of the axes.

    Returns
    -------
    numpy.ndarray
        `(3, 2)`, as `nibabel.orientations.apply_orientation` takes it.

    Raises
    ------
    BadScanError
        If the voxels differ; `name` is the file's.
    """
    nearest = np.inf
    for affine in lattice.affines:
        for target in like.affines:
            orientation = voxel_mapping(affine, target)
            if np.isnan(orientation).any():
                continue
            axes = orientation[:, 0].astype(int)
            if any(
                like.shape[axis] != size for axis, size in zip(axes, lattice.shape, strict=True)
            ):
                continue
            moved = reoriented_affine(affine, orientation, lattice.shape)
            distance = displacement(moved, target, like.shape)
            if same_place(distance, target):
                return orientation
            nearest = min(nearest, distance)
    if np.isfinite(nearest):
        raise BadScanError(
            f"{name} is displaced from its scan by {nearest:.1f} mm; check both affines"
        )
    raise BadScanError(f"{name} has shape {lattice.shape}, but its scan has {like.shape}")


def check_affine(affine: Affine, name: str) -> None:
    """Check that an affine is finite and not singular.

    Raises
    ------
    BadScanError
        If it is not; `name` is the file's.
    """
    if (
        not np.isfinite(affine).all()
        or np.linalg.svd(affine[:3, :3], compute_uv=False).min() < _MIN_VOXEL
    ):
        raise BadScanError(f"{name} has a degenerate affine: the volume of its voxels is zero")


def second_affine(image: Any) -> Affine | None:
    """Return the qform of a NIfTI header that also has an sform; None if there is none.

    A qform that nibabel cannot interpret counts as none.
    """
    from nibabel.spatialimages import HeaderDataError

    header = image.header
    if not hasattr(header, "get_qform") or int(header["sform_code"]) == 0:
        return None
    try:
        qform = header.get_qform(coded=True)[0]
    except HeaderDataError:
        return None
    if qform is None or not np.isfinite(qform).all():
        return None
    if np.linalg.svd(qform[:3, :3], compute_uv=False).min() < _MIN_VOXEL:
        return None
    return np.asarray(qform, dtype=np.float64)


def geometry_notes(image: Any, shape: Shape, second: Affine | None) -> tuple[str, ...]:
    """Return what is doubtful about the affine of an image, one sentence for each doubt.

    Parameters
    ----------
    image, shape
        The image as nibabel read it, and its three spatial axes.
    second
        The result of `second_affine`.
    """
    affine, notes = np.asarray(image.affine, dtype=np.float64), []
    if not _states_orientation(image):
        notes.append(
            "the header states no orientation (sform_code and qform_code are 0): left and right "
            "are guessed"
        )
    if second is not None:
        distance = displacement(affine, second, shape)
        if distance > _REPORTED * _voxel_size(affine).min():
            notes.append(f"sform and qform disagree by up to {distance:.1f} mm; the sform is used")
    shear = _shear(affine)
    if shear > _MIN_SHEAR:
        notes.append(f"the voxel axes are not perpendicular: they deviate by {shear:.1f} degrees")
    return tuple(notes)


def displacement(first: Affine, second: Affine, shape: tuple[int, ...]) -> float:
    """Return the largest distance in mm between the positions of one voxel by two affines."""
    corners = np.array(np.meshgrid(*[(0, size - 1) for size in shape], [1])).reshape(4, -1)
    moved = (first - second)[:3] @ corners
    return float(np.linalg.norm(moved, axis=0).max())


def voxel_mapping(affine: Affine, like: Affine) -> npt.NDArray[np.float64]:
    """Return nibabel's orientation that brings voxels into the axis order of other voxels.

    Parameters
    ----------
    affine, like
        `(4, 4)`: the affine of the voxels, and of those that they are compared with.

    Returns
    -------
    numpy.ndarray
        `(3, 2)`, as `nibabel.orientations.apply_orientation` takes it.
    """
    import nibabel as nib

    return np.asarray(nib.io_orientation(np.linalg.inv(like) @ affine), dtype=np.float64)  # type: ignore[no-untyped-call]


def reoriented_affine(affine: Affine, orientation: npt.NDArray[np.float64], shape: Shape) -> Affine:
    """Return the affine of voxels after nibabel's `apply_orientation`."""
    import nibabel as nib

    back = nib.orientations.inv_ornt_aff(orientation, shape)  # type: ignore[no-untyped-call]
    return np.asarray(affine @ back, dtype=np.float64)


def same_place(distance: float, affine: Affine) -> bool:
    """Return whether a distance in mm between voxels is rounding of the header."""
    return distance <= _SAME_PLACE * float(_voxel_size(affine).min())


def _states_orientation(image: Any) -> bool:
    """Return whether a header states how its axes lie; an Analyze header cannot."""
    import nibabel as nib

    header = image.header
    if hasattr(header, "get_qform"):
        return int(header["sform_code"]) > 0 or int(header["qform_code"]) > 0
    return not isinstance(image, nib.AnalyzeImage)


def _voxel_size(affine: Affine) -> npt.NDArray[np.float64]:
    sizes: npt.NDArray[np.float64] = np.linalg.norm(affine[:3, :3], axis=0)
    return sizes


def _shear(affine: Affine) -> float:
    """Return the largest deviation of two axes from a right angle, in degrees."""
    directions = affine[:3, :3] / _voxel_size(affine)
    cosines = (directions.T @ directions)[np.triu_indices(3, 1)]
    return float(np.degrees(np.arcsin(np.clip(np.abs(cosines).max(), 0, 1))))
