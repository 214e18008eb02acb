"""Reading arrays from `.npz` files that may be damaged."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


def read_npz(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Return all arrays of a file by name, without unpickling.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If it is damaged, or no `.npz` file.
    """
    try:
        # numpy leaves a damaged file open that it opened itself.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is no complete .npz file: {error}") from error
