"""A folder as one tensor of bytes, so that the store of fits keeps it like weights."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import torch
from torch import Tensor

_MODE, _EXECUTABLE = 0o644, 0o755


def packed(folder: Path) -> Tensor:
    """Return the files of a folder as bytes, `(N,)` uint8: equal for equal names and contents.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as name:
    ...     folder = Path(name)
    ...     (folder / "a").mkdir()
    ...     _ = (folder / "a" / "weights").write_bytes(b"12")
    ...     content = packed(folder / "a")
    ...     unpack(content, folder / "b")
    ...     (folder / "b" / "weights").read_bytes()
    b'12'
    """
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                continue
            entry = tarfile.TarInfo(str(path.relative_to(folder)))
            if path.is_dir():
                entry.type, entry.mode = tarfile.DIRTYPE, _EXECUTABLE
                archive.addfile(entry)
                continue
            entry.size = path.stat().st_size
            entry.mode = _EXECUTABLE if path.stat().st_mode & 0o100 else _MODE
            with path.open("rb") as content:
                archive.addfile(entry, content)
    return torch.frombuffer(bytearray(stream.getvalue()), dtype=torch.uint8)


def unpack(content: Tensor, folder: Path) -> None:
    """Write the files of `packed` into a folder, which is created."""
    folder.mkdir(parents=True, exist_ok=True)
    stream = io.BytesIO(content.cpu().numpy().tobytes())
    with tarfile.open(fileobj=stream, mode="r") as archive:
        archive.extractall(folder, filter="data")
