"""Store changed intensities in the type of a file, or in a finer one if they need it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[Any]

# Rounding loses a change if its error is more than this fraction of the change (both as root
# mean square), and the file resolves less than this number of intensities in the brain. The
# second condition excludes a change that is negligible in any type.
_MAX_ERROR = 0.1
_MIN_LEVELS = 1000
# Factor between the old and the new scale: a power of two, so that old intensities stay exact.
_MAX_FACTOR = 1024


@dataclass(frozen=True, eq=False, kw_only=True)
class Encoding:
    """How a file stores intensities: as a stored number times `slope`, plus `inter`."""

    dtype: np.dtype[Any]
    slope: float
    inter: float

    def intensities(self, stored: Numbers) -> npt.NDArray[np.float64]:
        """Return the intensities of stored numbers."""
        return stored * np.float64(self.slope) + self.inter

    def numbers(self, intensities: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the numbers to store, neither rounded nor clipped."""
        return (intensities - self.inter) / self.slope

    @property
    def title(self) -> str:
        """Type and scale, for messages."""
        scale = f" with scl_slope {self.slope:g}" if self.dtype.kind in "iu" else ""
        return f"{self.dtype.name}{scale}"


def loses_change(
    encoding: Encoding, before: npt.NDArray[np.float64], after: npt.NDArray[np.float64]
) -> bool:
    """Return whether rounding to an integer type would lose a change of intensities.

    Parameters
    ----------
    encoding
        How the file stores intensities.
    before, after
        `(n,)`: the intensities of the changed voxels.
    """
    if encoding.dtype.kind not in "iu" or not len(before):
        return False
    numbers = encoding.numbers(after)
    low, high = np.percentile(encoding.numbers(before), [1, 99])
    error = np.sqrt(np.mean((np.rint(numbers) - numbers) ** 2))
    change = np.sqrt(np.mean(((after - before) / encoding.slope) ** 2))
    return bool(error > _MAX_ERROR * change and high - low < _MIN_LEVELS)


def finer_encoding(
    encoding: Encoding, stored: Numbers, after: npt.NDArray[np.float64]
) -> tuple[Encoding, Numbers]:
    """Return an encoding with a finer scale, and the unchanged numbers in it.

    The scale is divided by a power of two that lets all numbers fit into the type, or into
    16 bits if the type is smaller. If no factor fits, intensities are stored as float32.

    Parameters
    ----------
    encoding, stored
        How the file stores intensities, and all its numbers before the change.
    after
        The intensities of the changed voxels.
    """
    order = encoding.dtype.byteorder
    dtype = encoding.dtype
    if dtype.itemsize < 2:
        dtype = np.dtype(np.int16).newbyteorder(order)
    limits = np.iinfo(dtype)
    numbers = encoding.numbers(after)
    low = min(int(stored.min()), float(numbers.min()))
    high = max(int(stored.max()), float(numbers.max()))
    factor = _MAX_FACTOR
    while factor > 1 and not (limits.min <= low * factor and high * factor <= limits.max):
        factor //= 2
    if factor == 1:
        as_float = Encoding(dtype=np.dtype(np.float32).newbyteorder(order), slope=1.0, inter=0.0)
        return as_float, encoding.intensities(stored).astype(as_float.dtype)
    finer = Encoding(dtype=dtype, slope=encoding.slope / factor, inter=encoding.inter)
    native = dtype.newbyteorder("=")
    return finer, (stored.astype(native) * native.type(factor)).astype(dtype)


def rounded(
    encoding: Encoding, intensities: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], int]:
    """Return the numbers to store, and the number of voxels clipped to the range of the type."""
    numbers = encoding.numbers(intensities)
    if encoding.dtype.kind not in "iu":
        return numbers, 0
    limits = np.iinfo(encoding.dtype)
    numbers = np.rint(numbers)
    clipped = int(np.count_nonzero((numbers < limits.min) | (numbers > limits.max)))
    return numbers.clip(limits.min, limits.max), clipped
