"""The subjects that the pictures of a cell show.

The task chooses them, never the method, so that all methods are seen on the same subjects.
"""

from __future__ import annotations

from harmbench.data.scans import Scans
from harmbench.metrics.image import mean_within


def distance_to_truth(source: Scans, truth: Scans | None, index: int) -> float:
    """Return how far a scan is from its truth before it is harmonised.

    Parameters
    ----------
    source, truth
        A batch, and its truth in the same order or None.
    index
        Of the scan in the batch.

    Returns
    -------
    float
        Mean absolute difference in the foreground; without truth the mean intensity, and 0 for a
        scan without foreground.
    """
    inside, values = source.masks[index], source.images[index]
    if truth is not None:
        values = (values - truth.images[index]).abs()
    return float(mean_within(values[None], inside[None])) if bool(inside.any()) else 0.0


def middle(count: int) -> int:
    """Return the place of the median of a sorted list of at least one."""
    return round((count - 1) / 2)
