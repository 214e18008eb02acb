"""Outputs of a method on disk: a killed cell resumes, and tasks with the same scans share them."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harmbench.data.scans import Scans
from harmbench.errors import ContractError
from harmbench.util.files import atomic_write
from harmbench.util.npz import read_npz

_CHECKED = "checked"


@dataclass(frozen=True)
class KeptOutputs:
    """Outputs by the place of their scan in the test set.

    Attributes
    ----------
    folder
        The folder of the outputs; it need not exist. Unless it is `shared`, it is the cell's own,
        and the caller must hold the lock of the cell.
    shared
        A folder for the outputs of all cells in which the method harmonises the same scans; None
        if there is one such cell. What it contains counts as an output of the cell once it has been
        checked. Another process may remove it at any time.
    """

    folder: Path
    shared: Path | None = None

    def __contains__(self, place: int) -> bool:
        """Whether the output of a scan is kept, and its file is intact."""
        own = _path(self.folder, place)
        # Else the check would be made after fewer scans than the method has harmonised.
        if self.shared is not None and self.checked and not own.exists():
            _link(_path(self.shared, place), own)
        return _intact(own) is not None

    def save(self, place: int, harmonized: Scans, seconds: float) -> None:
        """Keep the outputs of scans from a place on, with the seconds that they took together."""
        for number, image in enumerate(harmonized.images):
            path = _path(self.folder, place + number)
            flags = None if harmonized.flags is None else harmonized.flags[number : number + 1]
            with atomic_write(path) as stream:
                np.savez(
                    stream,
                    image=image.numpy(),
                    flags=[] if flags is None else flags or [""],
                    seconds=seconds / len(harmonized),
                )
            if self.shared is not None:
                with contextlib.suppress(OSError):
                    _path(self.shared, place + number).unlink(missing_ok=True)
                _link(path, _path(self.shared, place + number))

    def load(self, places: Sequence[int]) -> tuple[Tensor, tuple[str, ...] | None, float] | None:
        """Return the kept outputs of scans; None if one of them is not kept.

        Returns
        -------
        tuple or None
            Images `(N, S, H, W)`; flags, as of `Scans`; and the seconds of all scans.
        """
        read = [_intact(_path(self.folder, place)) for place in places]
        found = [output for output in read if output is not None]
        if len(found) < len(places):
            return None
        images, flags, seconds = zip(*found, strict=True)
        stacked = torch.stack([torch.from_numpy(image) for image in images])
        texts = None if None in flags else tuple(map(str, flags))
        return stacked, texts, sum(seconds)

    @property
    def checked(self) -> bool:
        """Whether it was checked that the shared outputs do not depend on other scans."""
        return self.shared is not None and (self.shared / _CHECKED).exists()

    @contextlib.contextmanager
    def checking(self) -> Iterator[None]:
        """Check the outputs in this block; those that are shared count as checked if it ends.

        If the check finds a violation, the cell's own are removed: a second attempt would compare
        them with outputs of a method that has harmonised no other scan yet.
        """
        mark = None if self.shared is None else self.shared / _CHECKED
        if mark is not None:
            with contextlib.suppress(OSError):
                mark.unlink(missing_ok=True)
        try:
            yield
        except ContractError:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        if mark is not None:
            with contextlib.suppress(OSError):
                mark.parent.mkdir(parents=True, exist_ok=True)
                mark.touch()


def _path(folder: Path, place: int) -> Path:
    return folder / f"{place:05}.npz"


def _intact(path: Path) -> tuple[npt.NDArray[np.float32], str | None, float] | None:
    """Return image, flag (if any) and seconds of a file; None if it is missing or damaged."""
    try:
        arrays = read_npz(path)
        flag = next(map(str, arrays["flags"]), None)
        return arrays["image"], flag, float(arrays["seconds"])
    except (OSError, ValueError, KeyError):
        return None


def _link(present: Path, missing: Path) -> None:
    """Make a file appear in a second folder too if possible, as a whole or not at all."""
    with contextlib.suppress(OSError):  # removed meanwhile, made meanwhile, or the disk is full
        missing.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(present, missing)
        except FileExistsError:
            return
        except OSError:  # a file system without hard links
            with present.open("rb") as stream, atomic_write(missing) as copy:
                shutil.copyfileobj(stream, copy)
