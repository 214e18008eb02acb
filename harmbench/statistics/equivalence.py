"""Equivalence of methods, within a stated margin."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from harmbench.statistics.max_t import PairTests


def equivalent(tests: PairTests, margin: float) -> npt.NDArray[np.bool_]:
    """Return which pairs are equivalent: `(F, k, k)`, false on the diagonal.

    Two methods are equivalent if the simultaneous 95 % interval of their difference lies
    within (-margin, margin). Without a significant difference they are not equivalent, only not
    separated.

    Parameters
    ----------
    tests
        The tests of all pairs.
    margin
        The largest difference without practical relevance, above 0, in the unit of the values.

    Raises
    ------
    ValueError
        If the margin is not positive.
    """
    if not margin > 0:
        raise ValueError(f"the margin of equivalence is {margin:g}: it must be above 0")
    low, high = tests.interval
    result: npt.NDArray[np.bool_] = (low > -margin) & (high < margin) & ~np.isnan(tests.p)
    return result
