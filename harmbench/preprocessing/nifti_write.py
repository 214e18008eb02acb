"""Write changed voxels into a NIfTI file, with every other byte unchanged."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harmbench.errors import BadScanError, UserError
from harmbench.preprocessing.background import zero_background
from harmbench.preprocessing.file_names import refuse_dicom
from harmbench.preprocessing.image_formats import as_nifti, read_image
from harmbench.preprocessing.nifti_read import Array, Volume, volume_of
from harmbench.preprocessing.stored_numbers import (
    Encoding,
    finer_encoding,
    loses_change,
    rounded,
)


@dataclass(frozen=True, eq=False, kw_only=True)
class ChangedFile:
    """A NIfTI file with changed voxels.

    Attributes
    ----------
    content
        The file, decompressed.
    intensities
        `(X, Y, Z)`: its voxels as in the scan's `volume`.
    clipped
        Number of voxels that were clipped to the range of the type.
    encoding
        The new type and scale if rounding would have lost the change; otherwise None.
    """

    content: bytes
    intensities: Array
    clipped: int
    encoding: Encoding | None


@dataclass(frozen=True, eq=False, kw_only=True)
class NativeScan:
    """A scan in its own space, shape and type.

    Attributes
    ----------
    volume
        Its voxels in closest-canonical orientation, as in the rest of preprocessing.
    content
        The complete file, decompressed; converted to NIfTI if it has another format.
    converted
        Name of the other format or compression, or None.
    offset, encoding
        Position of the voxels in the file, and how they are stored.
    shape
        `(I, J, K)` as stored.
    orientation
        `(3, 2)`: for each stored axis the canonical one, and 1 or -1, as nibabel gives it.
    """

    volume: Volume
    content: bytes
    converted: str | None
    offset: int
    encoding: Encoding
    shape: tuple[int, int, int]
    orientation: npt.NDArray[np.float64]

    def with_change(self, change: Array, floor: float = 0.0) -> ChangedFile:
        """Add a change to the intensities and return the resulting file.

        Where `change` is zero, intensities stay exact. If the type resolves the change, stored
        numbers keep their bits there, and so do the header and extensions. Otherwise type and
        scale change, and the header's fields of both.

        Parameters
        ----------
        change
            `(X, Y, Z)` in canonical orientation.
        floor
            Intensity that is black. No intensity is lowered below it.
        """
        encoding = self.encoding
        stored = self._stored().copy()
        added = self._from_canonical(change)
        changed = added != 0
        before = encoding.intensities(stored[changed])
        after = np.maximum(before + added[changed], np.minimum(before, floor))
        finer = loses_change(encoding, before, after)
        if finer:
            encoding, stored = finer_encoding(encoding, stored, after)
        numbers, clipped = rounded(encoding, after)
        stored[changed] = numbers.astype(encoding.dtype)
        end = self.offset + int(np.prod(self.shape)) * self.encoding.dtype.itemsize
        start = self._header_of(encoding) if finer else b""
        content = b"".join(
            (start, self.content[len(start) : self.offset], stored.tobytes(order="F"))
        )
        return ChangedFile(
            content=content + self.content[end:],
            intensities=self._in_volume(encoding.intensities(stored).astype(np.float32)),
            clipped=clipped,
            encoding=encoding if finer else None,
        )

    def mask_file(self, mask: npt.NDArray[np.bool_]) -> bytes:
        """Return an uncompressed uint8 NIfTI file of a mask `(X, Y, Z)` on the scan's voxels.

        Its header has the geometry of the scan.
        """
        image = _parsed_nifti(self.content)
        header = image.header.copy()
        header.set_data_dtype(np.uint8)
        header.set_slope_inter(1, 0)
        header["cal_min"], header["cal_max"] = 0, 1
        stored = self._from_canonical(mask).astype(np.uint8)
        content: bytes = type(image)(stored, image.affine, header).to_bytes()
        return content

    def _header_of(self, encoding: Encoding) -> bytes:
        """Return the file's header with the fields of another encoding."""
        image = _parsed_nifti(self.content)
        header = type(image.header).from_fileobj(io.BytesIO(self.content), check=False)
        header.set_data_dtype(encoding.dtype)
        header["scl_slope"], header["scl_inter"] = encoding.slope, encoding.inter
        block: bytes = header.binaryblock
        return block

    def _stored(self) -> npt.NDArray[Any]:
        count = int(np.prod(self.shape))
        flat = np.frombuffer(self.content, self.encoding.dtype, count, self.offset)
        return flat.reshape(self.shape, order="F")

    def _in_volume(self, stored: Array) -> Array:
        """Return intensities as in `volume`: canonical, zero in the background."""
        import nibabel as nib

        canonical: Array = nib.apply_orientation(stored, self.orientation)  # type: ignore[no-untyped-call]
        facts = self.volume.facts
        if facts.undefined is not None:
            canonical = np.where(facts.undefined, np.float32(0), canonical)
        return zero_background(canonical, facts.background)

    def _from_canonical(self, data: npt.NDArray[Any]) -> npt.NDArray[Any]:
        import nibabel as nib

        canonical = np.array([[0, 1], [1, 1], [2, 1]])
        back = nib.orientations.ornt_transform(canonical, self.orientation)  # type: ignore[no-untyped-call]
        stored: npt.NDArray[Any] = nib.apply_orientation(data, back)  # type: ignore[no-untyped-call]
        return stored


def load_native(path: Path) -> NativeScan:
    """Read a scan, keeping the bytes of its file so that it can be rewritten.

    Raises
    ------
    BadScanError
        As `load_volume`, and if it is a DICOM file.
    """
    import nibabel as nib

    refuse_dicom_scan(path)
    image, content = read_image(path)
    volume = volume_of(image, path.name)
    converted = None
    if content is None:
        converted = _format_name(image)
        content = as_nifti(image)
        image = _parsed_nifti(content)
    elif path.suffix.lower() == ".bz2":
        converted = "bzip2-compressed"
    voxels: Any = image.dataobj
    return NativeScan(
        volume=volume,
        content=content,
        converted=converted,
        offset=int(voxels.offset),
        encoding=Encoding(dtype=voxels.dtype, slope=float(voxels.slope), inter=float(voxels.inter)),
        shape=voxels.shape[:3],
        orientation=nib.io_orientation(image.affine),  # type: ignore[no-untyped-call]
    )


def refuse_dicom_scan(path: Path) -> None:
    """Raise `BadScanError` with conversion advice if a scan is a DICOM file."""
    try:
        refuse_dicom(path)
    except UserError as error:
        raise BadScanError(str(error)) from None


def _parsed_nifti(content: bytes) -> Any:
    """Return the image of a decompressed NIfTI file of version 1 or 2."""
    import nibabel as nib

    two = nib.Nifti2Header.may_contain_header(content)  # type: ignore[no-untyped-call]
    return (nib.Nifti2Image if two else nib.Nifti1Image).from_bytes(content)


def _format_name(image: Any) -> str:
    """Return the usual name of a format other than single-file NIfTI."""
    import nibabel as nib

    if isinstance(image, nib.MGHImage):
        return "MGH"
    if isinstance(image, nib.Nifti1Pair):
        return "NIfTI pair"
    if isinstance(image, nib.AnalyzeImage):
        return "Analyze"
    return type(image).__name__.removesuffix("Image")
