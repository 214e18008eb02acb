"""Read the complete content of an image file: decompressed once, and verified."""

from __future__ import annotations

import bz2
import gzip
import zlib
from pathlib import Path

from harmbench.errors import BadScanError
from harmbench.util.unfetched import why_unfetched

_GZIP, _BZIP2 = "gzip", "bzip2"
_MAGIC = {_GZIP: b"\x1f\x8b", _BZIP2: b"BZh"}
_MAGIC_SIZE = 3  # bytes
_COMPRESSION_OF_ENDING = {".gz": _GZIP, ".mgz": _GZIP, ".bz2": _BZIP2}
_COMPRESSED_ENDING = {_GZIP: ".gz", _BZIP2: ".bz2"}


def file_content(path: Path) -> bytes:
    """Read a file and decompress it if it is compressed.

    The compressed stream is read to its end, so that its checksum is compared. (A reader that
    stops after the last voxel does not see the checksum.)

    Raises
    ------
    BadScanError
        If the file is missing, not fetched, unreadable, truncated or damaged, or if its name
        does not agree with its compression.
    """
    content = _read(path)
    compression = _compression(content)
    _check_name(path, compression)
    if compression is None:
        return content
    try:
        return gzip.decompress(content) if compression == _GZIP else bz2.decompress(content)
    except (OSError, EOFError, ValueError, zlib.error, MemoryError) as error:
        raise BadScanError(f"{path.name} {_damage(error, compression)}") from error


def check_compression(path: Path) -> None:
    """Check that a file can be opened, and that its name agrees with its compression.

    Raises
    ------
    BadScanError
        If the file is missing, not fetched, unreadable, empty or misnamed.
    """
    _check_name(path, _compression(_read(path, _MAGIC_SIZE)))


def _read(path: Path, size: int = -1) -> bytes:
    """Read the first bytes of a file, or all of them."""
    unfetched = why_unfetched(path)
    if unfetched is not None:
        raise BadScanError(f"{path.name} {unfetched}")
    try:
        with path.open("rb") as stream:
            content = stream.read(size)
    except FileNotFoundError:
        raise BadScanError(f"{path.name} is missing") from None
    except OSError as error:
        raise BadScanError(f"{path.name} cannot be read: {error.strerror}") from error
    if not content:
        raise BadScanError(f"{path.name} is truncated: the file is empty; copy it again")
    return content


def _compression(content: bytes) -> str | None:
    """Return the name of the compression that the first bytes show, or None."""
    for name, magic in _MAGIC.items():
        if content.startswith(magic):
            return name
    return None


def _check_name(path: Path, compression: str | None) -> None:
    """Check that the ending of a file's name agrees with the compression of its content."""
    ending = path.suffix.lower()
    expected = _COMPRESSION_OF_ENDING.get(ending)
    if expected == compression:
        return
    # Without a compressed ending: scan.nii of scan.nii.gz, scan.mgh of scan.mgz.
    plain = path.with_suffix(".mgh").name if ending == ".mgz" else path.name
    if expected is not None and ending != ".mgz":
        plain = path.stem
    if compression is None:
        raise BadScanError(
            f"{path.name} is not a {expected} file, although its name ends in '{path.suffix}'; "
            f"if it is an uncompressed image, rename it to {plain}"
        )
    raise BadScanError(
        f"{path.name} is compressed with {compression}, which its name does not show; "
        f"rename it to {plain}{_COMPRESSED_ENDING[compression]}"
    )


def _damage(error: Exception, compression: str) -> str:
    """Describe why a compressed stream cannot be read, with the fix."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return "does not fit into memory"
    if isinstance(error, EOFError) or "end-of-stream" in text:
        return f"is truncated: its {compression} stream ends too early; copy it again"
    if text.startswith("Not a gzipped file"):
        return f"is damaged: other data follows the end of its {compression} stream; copy it again"
    if text.startswith(("CRC", "Incorrect length")):
        return f"is damaged: the checksum of its {compression} stream is wrong; copy it again"
    return f"is damaged: its {compression} stream cannot be decompressed ({text}); copy it again"
