"""What every estimate about a scan needs of the target's population."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from harmbench import Grid

from .config import BlindCurveConfig
from .cosines import Cosines


@dataclass(frozen=True, eq=False, kw_only=True)
class Population:
    """The target's quantiles and grid, and the settings.

    Attributes
    ----------
    config
        Settings of the method.
    grid
        The scans' grid.
    cosines
        The terms of fields.
    knots
        `(K,)`: mean quantiles of the target's subjects, which scans are matched to.
    slicewise
        Whether the target's slices were min-max scaled one by one.
    """

    config: BlindCurveConfig
    grid: Grid
    cosines: Cosines
    knots: Tensor
    slicewise: bool
