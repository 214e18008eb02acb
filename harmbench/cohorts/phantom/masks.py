"""Imperfect brain masks: every site takes the skull off in its own way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from harmbench.cohorts.phantom.lattice import Lattice
from harmbench.cohorts.phantom.smooth_field import SmoothField
from harmbench.cohorts.phantom.streams import clipped_normal

_BIAS_SPACING, _ROUGH_SPACING = 35.0, 14.0  # mm: scale of errors, constant and of the scan


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """How far the masks of a site lie beyond the surface of the brain, in mm.

    Attributes
    ----------
    offset
        Mean over all scans: positive where fluid and dura are left on, negative where brain
        is cut off.
    scatter
        Standard deviation of the mean of a scan.
    bias
        Standard deviation, from place to place, of what all scans of the site share.
    roughness
        Standard deviation, from place to place, of what each scan has of its own.
    """

    offset: float
    scatter: float
    bias: float
    roughness: float


@dataclass(frozen=True, eq=False)
class MaskError:
    """The error that was drawn for one scan.

    Attributes
    ----------
    offset
        Mean distance of the mask's surface from the brain's in mm, positive outside.
    fields
        Of unit variance: what the site shares, and what the scan has of its own.
    """

    offset: float
    fields: tuple[SmoothField, SmoothField]


def draw_mask_error(
    extraction: Extraction, site: np.random.Generator, scan: np.random.Generator
) -> MaskError:
    """Draw the error of a scan, from the stream of its site and from its own."""
    return MaskError(
        clipped_normal(scan, extraction.offset, extraction.scatter),
        (SmoothField.draw(site, _BIAS_SPACING), SmoothField.draw(scan, _ROUGH_SPACING)),
    )


def extract(depth: Tensor, extraction: Extraction, error: MaskError, lattice: Lattice) -> Tensor:
    """Return the mask of a scan on the grid.

    Parameters
    ----------
    depth
        `(D, H, W)`: distance to the surface of the brain in mm, positive inside.
    extraction, error
        Of the site, and of the scan.
    lattice
        Of `depth`.

    Returns
    -------
    Tensor
        `(S, H, W)` bool.
    """
    shared, own = (field.on(lattice.axes)[0] for field in error.fields)
    beyond = error.offset + extraction.bias * shared + extraction.roughness * own
    result: Tensor = lattice.to_grid(depth + beyond) > 0
    return torch.as_tensor(result)
