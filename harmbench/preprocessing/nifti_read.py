"""Reading volumes from files, with a check for everything that may be wrong with one.

Writing them is in native.py; no other module touches nibabel.
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

# The largest brains measured in adults, ventricles included, stay under 2 litres; a head
# with its skin and skull, or with background noise, is well above.
MAX_BRAIN_LITRES = 2.2
# The brain of a newborn has 0.35 litres: less is a fragment, or voxels of a wrong size.
MIN_BRAIN_LITRES = 0.3

_REMEDIES = (
    "install mri_synthstrip (FreeSurfer) or hd-bet, which are then used, or give the mask that "
    "HD-BET or SynthStrip made elsewhere, as a derivative "
    "(derivatives/NAME/sub-.../anat/..._desc-brain_mask.nii.gz) or with --brain-mask, or keep "
    "heads with --no-brain-mask"
)


@dataclass(frozen=True, eq=False)
class Volume:
    """A volume in closest-canonical orientation.

    Attributes
    ----------
    data
        `(X, Y, Z)` float32, finite; the axes run most nearly to right, anterior, superior.
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
    """Read any volume.

    Raises
    ------
    BadScanError
        If the file is missing, unreadable or cut short, holds no three-dimensional volume
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
        raise BadScanError(f"{path.name} cannot be read: {_one_line(error)}") from error
    if not isinstance(image, SpatialImage):
        raise BadScanError(f"{path.name} is no volume but a {type(image).__name__}")
    shape, kind = image.shape, image.get_data_dtype().kind
    if len(shape) < 3 or any(size != 1 for size in shape[3:]):
        raise BadScanError(f"{path.name} has shape {shape}; a single 3-D volume is needed")
    if min(shape[:3]) < 2:
        raise BadScanError(f"{path.name} has shape {shape}; a single slice is no volume")
    if kind not in "iuf":
        raise BadScanError(f"{path.name} holds no real numbers but {image.get_data_dtype()}")
    affine = np.asarray(image.affine, dtype=np.float64)
    if not np.isfinite(affine).all() or np.linalg.svd(affine[:3, :3])[1].min() < 1e-3:
        raise BadScanError(f"{path.name} has a degenerate affine: its voxels have no volume")
    try:
        image = nib.as_closest_canonical(image)  # type: ignore[no-untyped-call]
        data = np.asarray(image.dataobj, dtype=np.float32).reshape(image.shape[:3])
    except (OSError, EOFError, zlib.error, ValueError, MemoryError) as error:
        raise BadScanError(f"{path.name} is cut short or damaged: {_one_line(error)}") from error
    bad = int(np.size(data) - np.isfinite(data).sum())
    if bad:
        raise BadScanError(f"{path.name} has voxels that are not finite (NaN or infinity): {bad}")
    return Volume(data, np.asarray(image.affine, dtype=np.float64))


class HeadError(BadScanError):
    """A volume without a mask that holds more than a brain."""


def only_brain(
    volume: Volume, path: Path, mask: Path | None = None, mask_title: str = ""
) -> Volume:
    """Return a T1w volume that is zero outside the brain and above zero inside.

    Parameters
    ----------
    volume, path
        The volume, and the file it was read from.
    mask
        A volume on its voxels that is above zero in the brain, for one that still has the
        head around it.
    mask_title
        What the mask is called; by default as its file is.

    Raises
    ------
    HeadError
        If there is no mask, and what the volume holds is too large for a brain.
    BadScanError
        If the volume is empty, or what it or the mask holds is no brain by its size.
    """
    if mask is not None:
        inside = load_labels(mask, volume).data > 0
        volume = Volume(np.where(inside, volume.data, 0), volume.affine)
    litres = np.count_nonzero(volume.data) * volume.voxel_volume / 1e6
    masked = "" if mask is None else f", with {mask_title or f'its mask {mask.name}'}"
    if not (volume.data > 0).any():
        raise BadScanError(f"{path.name} is empty: no voxel is above zero{masked}")
    if litres > MAX_BRAIN_LITRES:
        reason = (
            f"{path.name} is not brain-extracted: {litres:.1f} litres are not zero, "
            f"and a brain has less than {MAX_BRAIN_LITRES}"
        )
        if mask is None:
            raise HeadError(f"{reason}; {_REMEDIES}")
        raise BadScanError(f"{reason}{masked}")
    if litres < MIN_BRAIN_LITRES:
        raise BadScanError(
            f"{path.name} holds no whole brain: only {litres:.2f} litres are not zero{masked}; "
            "are its voxel sizes right?"
        )
    return volume


def load_labels(path: Path, like: Volume) -> Volume:
    """Read the label volume of a scan.

    Raises
    ------
    BadScanError
        As `load_volume`, and if the labels do not lie on the voxels of `like`.
    """
    volume = load_volume(path)
    if volume.data.shape != like.data.shape:
        raise BadScanError(
            f"{path.name} has shape {volume.data.shape} and its scan {like.data.shape}"
        )
    corners = np.array([[0, 0, 0, 1], [*like.data.shape, 1]]).T
    apart = np.abs((volume.affine - like.affine) @ corners).max()
    if apart > 0.1 * min(like.voxel_size):
        raise BadScanError(f"{path.name} lies {apart:.1f} mm away from the voxels of its scan")
    return volume


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
