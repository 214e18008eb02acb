"""Write the slices of a cell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


def write_slices(path: Path, arrays: dict[str, npt.NDArray[Any]]) -> None:
    """Write the slices of a cell."""
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
