"""A summary of the scans that a fit has seen, stored with the fit."""

from __future__ import annotations

from typing import Any

import numpy as np

from harmbench.contracts.method import Method
from harmbench.data.appearance import appearance, shading
from harmbench.data.scan_set import ScanSet
from harmbench.errors import BlindnessError
from harmbench.execution.plan.fit import Fit

# More scans change medians and ranges little, and reading them takes long.
_MOST_SCANS = 40


def seen_scans(fit: Fit) -> dict[str, Any] | None:
    """Summarise the scans that are like those which the fitted method will receive.

    These are scans of the source domain if the method learns from it. A blind method has seen
    the target domain only.

    Returns
    -------
    dict
        As JSON: `domain`; `blind`, whether the method has not seen the source domain; and
        `scans`, for each scan its `subject`, its `voxel_size` in mm or None where it is not
        recorded, its `appearance` and its `shading`. None for an instrument, which harmonises
        nothing.
    """
    if not issubclass(fit.model, Method):
        return None
    data = fit.fit_data
    try:
        scans, blind = data.source, False
    except BlindnessError:
        scans, blind = data.target, True
    places = np.linspace(0, len(scans) - 1, min(len(scans), _MOST_SCANS)).round().astype(int)
    return {
        "domain": scans.domain,
        "blind": blind,
        "scans": [_summary(fit, scans, int(place)) for place in places],
    }


def _summary(fit: Fit, scans: ScanSet, place: int) -> dict[str, Any]:
    loaded, key = scans.load([place]), scans.scans[place]
    size = fit.voxel_sizes.get((scans.domain, key.subject, key.session))
    image, mask = loaded.images[0].numpy(), loaded.masks[0].numpy()
    return {
        "subject": key.subject,
        "voxel_size": None if size is None else list(size),
        "appearance": appearance(image, mask, scans.grid.spacing),
        "shading": shading(image, mask, scans.grid.spacing),
    }
