"""A NIfTI file as it lies on disk: new voxels go in, and every other byte stays as it was."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harmbench.errors import BadScanError
from harmbench.preprocessing.file_names import refuse_dicom
from harmbench.preprocessing.nifti_read import Array, Volume, load_volume


@dataclass(frozen=True, eq=False)
class Native:
    """A scan in its own space, shape and type.

    Attributes
    ----------
    volume
        Its voxels in closest-canonical orientation, as everything else here sees them.
    content
        The whole file, decompressed.
    offset, dtype
        Where the voxels begin in it, and their type with its byte order.
    shape
        `(I, J, K)` as stored.
    slope, inter
        What a stored number is multiplied by, and what is then added, to be an intensity.
    orientation
        `(3, 2)`: for each stored axis the canonical one, and 1 or -1, as nibabel gives it.
    """

    volume: Volume
    content: bytes
    offset: int
    dtype: np.dtype[Any]
    shape: tuple[int, int, int]
    slope: float
    inter: float
    orientation: npt.NDArray[np.float64]

    def with_change(self, change: Array) -> tuple[bytes, Array, int]:
        """Add to the intensities, and return the file with them.

        Where `change` is zero a stored number stays to the bit, and so do the header and
        whatever else the file holds. An intensity is not taken below zero, unless it was
        there, and not out of what the file's type can store.

        Parameters
        ----------
        change
            `(X, Y, Z)` in canonical orientation.

        Returns
        -------
        content, intensities, clipped
            The decompressed file; its voxels in canonical orientation, float32; and how many
            of them the type could not store.
        """
        stored = self._stored().copy()
        added = self._from_canonical(change)
        where = added != 0
        before = stored[where] * np.float64(self.slope) + self.inter
        after = np.maximum(before + added[where], np.minimum(before, 0))
        numbers = (after - self.inter) / self.slope
        clipped = 0
        if self.dtype.kind in "iu":
            limits = np.iinfo(self.dtype)
            numbers = np.rint(numbers)
            clipped = int(np.count_nonzero((numbers < limits.min) | (numbers > limits.max)))
            numbers = numbers.clip(limits.min, limits.max)
        stored[where] = numbers.astype(self.dtype)
        end = self.offset + stored.nbytes
        content = self.content[: self.offset] + stored.tobytes(order="F") + self.content[end:]
        intensities = (stored * np.float64(self.slope) + self.inter).astype(np.float32)
        return content, self._to_canonical(intensities), clipped

    def mask_file(self, mask: npt.NDArray[np.bool_]) -> bytes:
        """Return a NIfTI file, not compressed, of a mask `(X, Y, Z)` on the scan's voxels: uint8.

        The geometry in its header is the scan's.
        """
        import nibabel as nib

        image = nib.Nifti1Image.from_bytes(self.content)
        header = image.header.copy()  # type: ignore[no-untyped-call]
        header.set_data_dtype(np.uint8)
        header.set_slope_inter(1, 0)
        header["cal_min"], header["cal_max"] = 0, 1
        whole = self._from_canonical(mask).astype(np.uint8)
        mask_image = nib.Nifti1Image(whole, image.affine, header)  # type: ignore[no-untyped-call]
        return mask_image.to_bytes()

    def _stored(self) -> npt.NDArray[Any]:
        count = int(np.prod(self.shape))
        flat = np.frombuffer(self.content, self.dtype, count, self.offset)
        return flat.reshape(self.shape, order="F")

    def _to_canonical(self, stored: Array) -> Array:
        import nibabel as nib

        canonical: Array = nib.apply_orientation(stored, self.orientation)  # type: ignore[no-untyped-call]
        return canonical

    def _from_canonical(self, data: npt.NDArray[Any]) -> npt.NDArray[Any]:
        import nibabel as nib

        canonical = np.array([[0, 1], [1, 1], [2, 1]])
        back = nib.orientations.ornt_transform(canonical, self.orientation)  # type: ignore[no-untyped-call]
        stored: npt.NDArray[Any] = nib.apply_orientation(data, back)  # type: ignore[no-untyped-call]
        return stored


def load_native(path: Path) -> Native:
    """Read a NIfTI file so that it can be written again.

    Raises
    ------
    BadScanError
        As `load_volume`, and if the file is no single NIfTI file.
    UserError
        If it is DICOM.
    """
    import nibabel as nib

    refuse_dicom(path)
    volume = load_volume(path)
    image = nib.load(path)
    if not isinstance(image, nib.Nifti1Image):
        raise BadScanError(
            f"{path.name} is no NIfTI file of its own (.nii or .nii.gz) but a "
            f"{type(image).__name__}; convert it first"
        )
    voxels: Any = image.dataobj
    content = path.read_bytes()
    if content.startswith(b"\x1f\x8b"):
        content = gzip.decompress(content)
    return Native(
        volume=volume,
        content=content,
        offset=int(voxels.offset),
        dtype=voxels.dtype,
        shape=voxels.shape[:3],
        slope=float(voxels.slope),
        inter=float(voxels.inter),
        orientation=nib.io_orientation(image.affine),  # type: ignore[no-untyped-call]
    )
