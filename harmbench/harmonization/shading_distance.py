"""Comparison of a scan's shading with that of the scans that a fit has seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

# Distance above which shading differs, in standard deviations of the distances between each
# seen scan and the others; and its increase with few scans: see docs/study.md.
_MOST, _FEW_SCANS = 3.0, 4.0
_LEAST_SCANS = 4
# Smallest standard deviation of these distances to assume, as a fraction of their median.
_FLOOR = 0.05

Shading = Sequence[float | None]


def shading_difference(shading: Shading, seen: Sequence[Shading]) -> str | None:
    """Return the text that reports another shading than that of the seen scans, or None.

    The distance of a scan from others is the root mean square over the cubes of the difference
    from their mean, in standard deviations. The variance of a cube is the mean of its own and that
    of all cubes, because few scans show the variance of one cube badly.

    Parameters
    ----------
    shading
        As `harmbench.data.appearance.shading` returns it.
    seen
        The same of each seen scan, one scan for each subject.
    """
    if len(seen) < _LEAST_SCANS:
        return None
    values = np.array([shading, *seen], dtype=float)
    values = values[:, np.isfinite(values).all(axis=0)]
    if not values.shape[1]:
        return None
    others = values[1:]
    distance = _distance(values[0], others)
    usual = np.array([_distance(one, np.delete(others, i, 0)) for i, one in enumerate(others)])
    median = float(np.median(usual))
    deviation = max(
        1.4826 * float(np.median(np.abs(usual - median))), float(usual.std()), _FLOOR * median
    )
    if distance <= median + _MOST * (1 + _FEW_SCANS / len(seen)) * deviation:
        return None
    return (
        f"shading of the bright tissue {distance:.3g} standard deviations from the mean "
        f"(seen: {usual.min():.3g} to {usual.max():.3g})"
    )


def _distance(one: npt.NDArray[np.float64], others: npt.NDArray[np.float64]) -> float:
    variance = others.var(axis=0, ddof=1)
    variance = np.maximum((variance + variance.mean()) / 2, 1e-12)
    return float(np.sqrt(((one - others.mean(axis=0)) ** 2 / variance).mean()))
