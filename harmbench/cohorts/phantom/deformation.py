"""Diffeomorphisms: smooth displacements that fold nothing, however large."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from harmbench.cohorts.phantom.lattice import Axes, coarse_axes, interpolate, points_of, sample
from harmbench.cohorts.phantom.smooth_field import SmoothField

_STEP = 4.0  # mm: displacements are integrated on this grid, much finer than their scale
_MARGIN = 16.0  # mm around the voxels that are asked for, from which a flow may come
_SQUARINGS = 4


def flow(velocities: Sequence[tuple[float, SmoothField]], axes: Axes) -> Tensor:
    """Return the displacement of the flow of a stationary velocity field over unit time.

    By scaling and squaring (Arsigny et al., MICCAI 2006): the displacement of a sixteenth of
    the time is nearly the velocity, and is composed with itself four times.

    Parameters
    ----------
    velocities
        Amplitudes in mm, and fields of three channels along z, x and y; they add up.
    axes
        Where the displacement is wanted.

    Returns
    -------
    Tensor
        `(3, D, H, W)` in mm along z, x and y.
    """
    coarse = coarse_axes(axes, _STEP, _MARGIN)
    points = points_of(coarse)
    displacement = torch.zeros_like(points)
    for amplitude, field in velocities:
        displacement += amplitude * field.on(coarse)
    displacement /= 2**_SQUARINGS
    for _ in range(_SQUARINGS):
        displacement = displacement + sample(displacement, coarse, points + displacement)
    return interpolate(displacement, coarse, axes)
