"""The influence of single subjects on a mean difference."""

from __future__ import annotations

import math

import numpy as np

from harmbench.statistics.estimate import Array


def influence(differences: Array) -> Array:
    """Return by how much the mean changes if each subject is left out.

    Parameters
    ----------
    differences
        `(n,)`, one a subject; NaN is left out.

    Returns
    -------
    Array
        `(n,)`: the mean of the other subjects minus the mean of all; NaN for a subject
        without a value, and if no other subject has one.

    Examples
    --------
    >>> influence(np.array([1.0, 2.0, 6.0]))
    array([ 1. ,  0.5, -1.5])
    """
    n = int((~np.isnan(differences)).sum())
    if n < 2:
        return np.full(differences.shape, math.nan)
    influences: Array = (np.nanmean(differences) - differences) / (n - 1)
    return influences
