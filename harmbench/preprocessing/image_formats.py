"""Parse image files with nibabel, from memory: NIfTI, NIfTI pairs, Analyze and MGH.

Files of other formats that nibabel reads are left to it.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harmbench.errors import BadScanError
from harmbench.preprocessing.file_content import check_compression, file_content

if TYPE_CHECKING:
    from nibabel.spatialimages import SpatialImage

_PAIR_ENDINGS = (".hdr", ".img", ".hdr.gz", ".img.gz", ".hdr.bz2", ".img.bz2")
_OTHER_FORMATS = (".mnc", ".par", ".rec", ".brik", ".head")
_MOST_CHARACTERS = 160
# Errors of nibabel and of its libraries while the voxels of an image are read.
READ_ERRORS = (OSError, EOFError, zlib.error, ValueError, MemoryError)


def read_image(path: Path) -> tuple[SpatialImage, bytes | None]:
    """Read an image file completely.

    Returns
    -------
    image, content
        The image, whose voxels lie in memory; and the decompressed file if it is a single-file
        NIfTI image, otherwise None.

    Raises
    ------
    BadScanError
        If the file is missing, unreadable, truncated or damaged, or contains no volume.
    """
    content = file_content(path)
    image = _checked(path, lambda: _parsed(path, content))
    return image, content if is_single_nifti(image) else None


def read_header(path: Path) -> SpatialImage:
    """Read the header of an image file; the voxels stay on disk.

    Raises
    ------
    BadScanError
        If the file is missing, not fetched or misnamed, or its header cannot be read.
    """
    import nibabel as nib

    check_compression(path)
    return _checked(path, lambda: nib.load(path))


def _checked(path: Path, read: Callable[[], Any]) -> SpatialImage:
    """Call a function that reads an image; errors of nibabel become `BadScanError`."""
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError, SpatialImage
    from nibabel.wrapstruct import WrapStructError

    errors = (ImageFileError, HeaderDataError, WrapStructError, *READ_ERRORS)
    try:
        image = read()
    except errors as error:
        raise BadScanError(f"{path.name} cannot be read: {first_characters(error)}") from error
    if not isinstance(image, SpatialImage):
        raise BadScanError(f"{path.name} is a {type(image).__name__}; a volume is needed")
    return image


def is_single_nifti(image: Any) -> bool:
    """Return whether an image was read from one NIfTI file, not from a pair."""
    import nibabel as nib

    return isinstance(image, nib.Nifti1Image)  # the class of NIfTI-2 is derived from it


def as_nifti(image: Any) -> bytes:
    """Convert an image to an uncompressed single-file NIfTI image.

    Stored numbers, their type, their scale and the affine are those of the image.
    """
    import nibabel as nib
    import numpy as np

    voxels = image.dataobj
    if hasattr(voxels, "get_unscaled"):
        stored, slope, inter = np.asarray(voxels.get_unscaled()), voxels.slope, voxels.inter
    else:
        stored, slope, inter = np.asarray(voxels, dtype=np.float32), 1, 0
    if isinstance(image, nib.Nifti1Pair):
        two = isinstance(image, nib.Nifti2Pair)
        cls: Any = nib.Nifti2Image if two else nib.Nifti1Image
        header = cls.header_class(image.header.binaryblock, image.header.endianness, check=False)
        header["magic"], header["vox_offset"] = header.single_magic, 0
        result = cls(stored, None, header)
    else:
        result = nib.Nifti1Image(stored, image.affine)  # type: ignore[no-untyped-call]
        result.set_sform(image.affine, 1)  # type: ignore[no-untyped-call]
        result.set_qform(image.affine, 1)  # type: ignore[no-untyped-call]
        result.header.set_xyzt_units("mm", "sec")  # type: ignore[no-untyped-call]
    result.header.set_data_dtype(stored.dtype)
    result.header.set_slope_inter(slope, inter)
    content: bytes = result.to_bytes()
    return content


def first_characters(error: BaseException) -> str:
    """Return the beginning of an error's message in one line."""
    return " ".join(str(error).split())[:_MOST_CHARACTERS] or type(error).__name__


def _parsed(path: Path, content: bytes) -> Any:
    """Return the image of a decompressed file; the class follows from content and name."""
    import nibabel as nib

    name = path.name.lower()
    if name.endswith(_PAIR_ENDINGS):
        return _pair(path)
    if name.endswith((".mgh", ".mgz")):
        return nib.MGHImage.from_bytes(content)
    if name.endswith(_OTHER_FORMATS):
        return nib.load(path)
    if nib.Nifti2Header.may_contain_header(content):  # type: ignore[no-untyped-call]
        return nib.Nifti2Image.from_bytes(content)
    return nib.Nifti1Image.from_bytes(content)


def _pair(path: Path) -> Any:
    """Return the image of a header file and a voxel file; `path` is either of them."""
    import nibabel as nib
    from nibabel.spm2analyze import Spm2AnalyzeImage
    from nibabel.spm99analyze import Spm99AnalyzeImage

    files: Any = nib.Nifti1Pair.filespec_to_file_map(path)
    contents = {key: file_content(Path(files[key].filename)) for key in ("header", "image")}
    classes: Any = (nib.Nifti1Pair, nib.Nifti2Pair, Spm2AnalyzeImage, Spm99AnalyzeImage)
    cls: Any = next(
        (cls for cls in classes if cls.header_class.may_contain_header(contents["header"])),
        nib.AnalyzeImage,
    )
    files = cls.filespec_to_file_map(path)
    for key, content in contents.items():
        files[key].fileobj = io.BytesIO(content)
    return cls.from_file_map(files)
