"""The outputs of a cell that is not finished, on disk, so that a killed cell resumes."""

from __future__ import annotations

import dataclasses
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
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
        """Whether the output of a scan is kept, and its file is intact."""
        try:
            self._read(place)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return False
        return True

    def save(self, place: int, harmonized: Scans, seconds: float) -> None:
        """Keep the output of one scan, with the seconds that it took."""
        with atomic_write(self._path(place)) as stream:
            np.savez(
                stream,
                image=harmonized.images[0].numpy(),
                flags=np.array(harmonized.flags or [""]),
                seconds=seconds,
            )

    def load(self, place: int, source: Scans) -> tuple[Scans, float]:
        """Return the kept output of a scan, with its seconds.

        Parameters
        ----------
        place
            Its place.
        source
            The scan, `(1, S, H, W)`.
        """
        image, flags, seconds = self._read(place)
        images = torch.from_numpy(image)[None]
        texts = tuple(map(str, flags)) if any(flags) else ()
        return dataclasses.replace(source, images=images, flags=texts), seconds

    def _read(self, place: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.str_], float]:
        # numpy leaves a damaged file open that it opened itself.
        with self._path(place).open("rb") as stream, np.load(stream) as file:
            return file["image"], file["flags"], float(file["seconds"])

    def _path(self, place: int) -> Path:
        return self.folder / f"{place:05}.npz"
