"""Write changed voxels into a NIfTI file, with every other byte unchanged."""

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


@dataclass(frozen=True, eq=False, kw_only=True)
class NativeScan:
    """A scan in its own space, shape and type.

    Attributes
    ----------
    volume
        Its voxels in closest-canonical orientation, as in the rest of preprocessing.
    content
        The complete file, decompressed.
    offset, dtype
        Position of the voxels in the file, and their type with its byte order.
    shape
        `(I, J, K)` as stored.
    slope, inter
        An intensity is a stored number times `slope`, plus `inter`.
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
        """Add a change to the intensities and return the resulting file.

        Where `change` is zero, stored numbers keep their bits, and so do the header and
        extensions. No intensity is lowered below zero, and none leaves the range of the
        file's type.

        Parameters
        ----------
        change
            `(X, Y, Z)` in canonical orientation.

        Returns
        -------
        content, intensities, clipped
            The decompressed file; its voxels in canonical orientation, float32; and the number
            of voxels that were clipped to the range of the type.
        """
        stored = self._stored().copy()
        added = self._from_canonical(change)
        changed = added != 0
        before = stored[changed] * np.float64(self.slope) + self.inter
        after = np.maximum(before + added[changed], np.minimum(before, 0))
        numbers = (after - self.inter) / self.slope
        clipped = 0
        if self.dtype.kind in "iu":
            limits = np.iinfo(self.dtype)
            numbers = np.rint(numbers)
            clipped = int(np.count_nonzero((numbers < limits.min) | (numbers > limits.max)))
            numbers = numbers.clip(limits.min, limits.max)
        stored[changed] = numbers.astype(self.dtype)
        end = self.offset + stored.nbytes
        content = self.content[: self.offset] + stored.tobytes(order="F") + self.content[end:]
        intensities = (stored * np.float64(self.slope) + self.inter).astype(np.float32)
        return content, self._to_canonical(intensities), clipped

    def mask_file(self, mask: npt.NDArray[np.bool_]) -> bytes:
        """Return an uncompressed uint8 NIfTI file of a mask `(X, Y, Z)` on the scan's voxels.

        Its header has the geometry of the scan.
        """
        import nibabel as nib

        image = nib.Nifti1Image.from_bytes(self.content)
        header = image.header.copy()  # type: ignore[no-untyped-call]
        header.set_data_dtype(np.uint8)
        header.set_slope_inter(1, 0)
        header["cal_min"], header["cal_max"] = 0, 1
        stored = self._from_canonical(mask).astype(np.uint8)
        mask_image = nib.Nifti1Image(stored, image.affine, header)  # type: ignore[no-untyped-call]
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


def nifti_content(data: npt.NDArray[Any], affine: npt.NDArray[np.float64]) -> bytes:
    """Return an uncompressed NIfTI file of an array `(X, Y, Z)` with a given affine."""
    import nibabel as nib

    return nib.Nifti1Image(data, affine).to_bytes()  # type: ignore[no-untyped-call]


def load_native(path: Path) -> NativeScan:
    """Read a NIfTI file, keeping its bytes so that it can be rewritten.

    Raises
    ------
    BadScanError
        As `load_volume`, and if it is not a single-file NIfTI image.
    UserError
        If it is a DICOM file.
    """
    import nibabel as nib

    refuse_dicom(path)
    volume = load_volume(path)
    image = nib.load(path)
    if not isinstance(image, nib.Nifti1Image):
        raise BadScanError(
            f"{path.name} is a {type(image).__name__}, not a single-file NIfTI image (.nii or "
            ".nii.gz); convert it first"
        )
    voxels: Any = image.dataobj
    content = path.read_bytes()
    if content.startswith(b"\x1f\x8b"):
        content = gzip.decompress(content)
    return NativeScan(
        volume=volume,
        content=content,
        offset=int(voxels.offset),
        dtype=voxels.dtype,
        shape=voxels.shape[:3],
        slope=float(voxels.slope),
        inter=float(voxels.inter),
        orientation=nib.io_orientation(image.affine),  # type: ignore[no-untyped-call]
    )
