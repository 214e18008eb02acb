"""The outputs of a cell that is not finished, on disk, so that a killed cell resumes."""

from __future__ import annotations

import dataclasses
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from harmbench.data.scans import Scans
from harmbench.util.files import atomic_write


@dataclass(frozen=True)
class KeptOutputs:
    """Outputs by the place of their scan in the test set.

    Methods that work on whole volumes may take minutes for a scan, and they harmonise scan by
    scan. The caller must hold the lock of the cell.

    Attributes
    ----------
    folder
        A folder of the cell; it need not exist.
    """

    folder: Path

    def __contains__(self, place: int) -> bool:
        return self._path(place).is_file()

    def save(self, place: int, harmonized: Scans, seconds: float) -> None:
        """Keep the output of one scan, with the seconds that it took."""
        with atomic_write(self._path(place)) as stream:
            np.savez(
                stream,
                image=harmonized.images[0].numpy(),
                flags=np.array(harmonized.flags or [""]),
                seconds=seconds,
            )

    def load(self, place: int, source: Scans) -> tuple[Scans, float] | None:
        """Return the output of a scan with its seconds; None if there is none.

        Parameters
        ----------
        place
            Its place.
        source
            The scan, `(1, S, H, W)`.
        """
        try:
            with np.load(self._path(place)) as file:
                image, flags, seconds = file["image"], file["flags"], float(file["seconds"])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        images = torch.from_numpy(image)[None]
        flags = tuple(map(str, flags)) if any(flags) else ()
        return dataclasses.replace(source, images=images, flags=flags), seconds

    def _path(self, place: int) -> Path:
        return self.folder / f"{place:05}.npz"
