"""The file of a bundle: a zip file with a manifest and checksums."""

from __future__ import annotations

import hashlib
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harmbench.bundles.manifest import MANIFEST, RESULTS, FileEntry, Manifest, read_manifest
from harmbench.errors import UserError
from harmbench.util.files import atomic_write
from harmbench.util.hashing import bytes_digest

ENDING = ".harmbench.zip"
# All files lie in one folder; none has a hidden name.
_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
# The earliest date that a zip file can hold: equal contents make equal files.
_DATE = (1980, 1, 1, 0, 0, 0)
_READ_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


@dataclass(frozen=True)
class Archive:
    """A bundle that was read and verified.

    Attributes
    ----------
    manifest
        Its manifest.
    files
        The content of all files, by name, including the manifest.
    """

    manifest: Manifest
    files: Mapping[str, bytes] = field(repr=False)

    @property
    def key(self) -> str:
        """Content hash of the bundle: 20 hexadecimal digits."""
        return bytes_digest(self.files[MANIFEST])

    @property
    def results(self) -> bytes:
        """The records, a line each."""
        return self.files[RESULTS]


def entry_of(content: bytes) -> FileEntry:
    """Return the entry of a file in the manifest."""
    return FileEntry(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


def write_archive(path: Path, manifest: Manifest, files: Mapping[str, bytes]) -> None:
    """Write a bundle; a kill leaves the old file or the new one.

    Parameters
    ----------
    path
        The file.
    manifest
        The manifest, which lists `files`.
    files
        Content by name.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    contents = {MANIFEST: manifest.to_bytes(), **dict(sorted(files.items()))}
    try:
        with atomic_write(path) as stream, zipfile.ZipFile(stream, "w") as archive:
            for name, content in contents.items():
                info = zipfile.ZipInfo(name, _DATE)
                info.external_attr = 0o644 << 16  # readable by all when unpacked
                archive.writestr(info, content, zipfile.ZIP_DEFLATED)
    except OSError as error:
        raise UserError(f"'{path}' cannot be written: {error.strerror}") from None


def read_archive(path: Path) -> Archive:
    """Read a bundle, and verify all checksums.

    Raises
    ------
    UserError
        If the file is no bundle, is damaged, or has a newer schema.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _read(archive, str(path))
    except zipfile.BadZipFile:
        raise UserError(
            f"{path} is no bundle: it is no zip file, or is truncated; get it again"
        ) from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None


def _read(archive: zipfile.ZipFile, path: str) -> Archive:
    names = archive.namelist()
    if MANIFEST not in names:
        raise UserError(f"{path} is no bundle of harmbench: it has no {MANIFEST}")
    if len({*names}) < len(names):
        raise UserError(f"{path} is damaged: it contains two files of one name")
    manifest = read_manifest(_content(archive, MANIFEST, path), path)
    if RESULTS not in manifest.files:
        raise UserError(f"{path} is damaged: {MANIFEST} lists no {RESULTS}")
    expected = {MANIFEST, *manifest.files}
    for name in sorted({*names} ^ expected):
        fault = "is missing" if name in expected else "is not in the manifest"
        raise UserError(f"{path} is damaged: {name} {fault}")
    files = {MANIFEST: _content(archive, MANIFEST, path)}
    for name, entry in manifest.files.items():
        if not _SAFE_NAME.fullmatch(name) or name == MANIFEST:
            raise UserError(f"{path} is refused: '{name}' is no valid name for a file of a bundle")
        # Before it is unpacked: a small zip file may contain a huge one.
        if archive.getinfo(name).file_size != entry.bytes:
            raise UserError(f"{path} is damaged: {name} has another size than in the manifest")
        files[name] = _content(archive, name, path)
        if entry_of(files[name]) != entry:
            raise UserError(f"{path} is damaged: {name} differs from its checksum")
    return Archive(manifest, files)


def _content(archive: zipfile.ZipFile, name: str, path: str) -> bytes:
    try:
        return archive.read(name)
    except _READ_ERRORS:
        raise UserError(f"{path} is damaged: {name} cannot be unpacked; get it again") from None
