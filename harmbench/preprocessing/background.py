"""Find the background of a volume: one number, often zero, or undefined voxels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

# Fraction of the volume's six faces that has one value if the background is constant.
_MIN_SHARE = 0.5
# Rounding errors of a constant that was resampled, as a fraction of it.
_ROUNDING = 1e-5


def constant_background(data: Array, finite: npt.NDArray[np.bool_] | None = None) -> float:
    """Return the value of a constant background; 0 if the background is not constant.

    A brain-extracted volume shows one value on most of its six faces. It is not zero after
    a z-score or a shift of the whole volume. In a head the faces show noise.

    Parameters
    ----------
    data
        `(X, Y, Z)`.
    finite
        The voxels that are neither NaN nor infinite; None if all are.
    """
    faces = [np.moveaxis(data, axis, 0)[index].ravel() for axis in range(3) for index in (0, -1)]
    values = np.concatenate(faces)
    count = len(values)
    if finite is not None:
        values = values[np.isfinite(values)]
    if len(values) < _MIN_SHARE * count:
        return 0.0
    middle = float(np.percentile(values, 50, method="lower"))
    equal = np.count_nonzero(np.abs(values - middle) <= _ROUNDING * abs(middle))
    return middle if equal > _MIN_SHARE * count else 0.0


def zero_background(data: Array, background: float) -> Array:
    """Return the data with zero in place of a constant background."""
    if background == 0:
        return data
    constant = np.abs(data - np.float32(background)) <= _ROUNDING * abs(background)
    return np.where(constant, np.float32(0), data)
