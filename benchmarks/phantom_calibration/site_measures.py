"""Summary of a site: means and scatter over subjects, and what its scans have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from phantom_calibration import bias_fields, shapes
from phantom_calibration.scan_measures import ScanMeasures
from phantom_calibration.template import GRID, inside_brain
from phantom_calibration.tissues import GREY, WHITE


def summarize(scans: Sequence[ScanMeasures]) -> dict[str, dict[str, Any]]:
    """Return the summary of every site.

    Returns
    -------
    dict
        By site: `scans` and `subjects`, their numbers; `mean` and `scatter` (standard
        deviation between subjects, each the mean of its scans) of every quantity of a scan;
        and `site`, the quantities that only several scans have.
    """
    sites = {
        name: [scan for scan in scans if scan.domain == name]
        for name in dict.fromkeys(scan.domain for scan in scans)
    }
    coarse = (slice(None, None, bias_fields.STEP),) * 3
    region = inside_brain()[coarse]
    fields = {
        name: bias_fields.centred(np.stack([scan.log_field for scan in members]), region)
        for name, members in sites.items()
    }
    # N4 takes some anatomy for a field. What all sites share of it is removed by the mean over
    # sites, each site with the same weight.
    everywhere = np.mean([field.mean(axis=0) for field in fields.values()], axis=0)
    return {
        name: {
            "scans": len(members),
            "subjects": len({scan.subject for scan in members}),
            **_per_scan(members),
            "site": {
                **_field(fields[name], everywhere, [scan.subject for scan in members]),
                **_anatomy(members, region),
                **_repeats(members, fields[name]),
            },
        }
        for name, members in sites.items()
    }


def _per_scan(scans: Sequence[ScanMeasures]) -> dict[str, dict[str, float]]:
    """Return mean, and standard deviation between subjects, of the quantities of a scan."""
    mean, scatter = {}, {}
    for quantity in dict.fromkeys(key for scan in scans for key in scan.values):
        subjects: dict[str, list[float]] = {}
        for scan in scans:
            if quantity in scan.values:
                subjects.setdefault(scan.subject, []).append(scan.values[quantity])
        values = np.array([np.mean(measurements) for measurements in subjects.values()])
        mean[quantity] = float(np.nanmean(values))
        scatter[quantity] = float(np.nanstd(values, ddof=1))
    return {"mean": mean, "scatter": scatter}


def _field(
    fields: npt.NDArray[np.float32], everywhere: npt.NDArray[Any], subjects: Sequence[str]
) -> Mapping[str, float]:
    """Return size, common share and scatter of the log fields of a site."""
    share, scatter = bias_fields.common_variance(fields, subjects)
    relative, _ = bias_fields.common_variance(fields - everywhere, subjects)
    return {
        "field_sd": float(fields.std(axis=1).mean()),
        "field_common_share": share,
        "field_predicted_share": bias_fields.common_share(fields, subjects),
        "field_scatter": scatter,
        "field_site_sd": float((fields.mean(axis=0) - everywhere).std()),
        "field_site_common_share": relative,
        "field_site_predicted_share": bias_fields.common_share(fields - everywhere, subjects),
    }


def _anatomy(scans: Sequence[ScanMeasures], region: npt.NDArray[np.bool_]) -> dict[str, float]:
    """Return the overlap of tissue between subjects, and the scatter of grey matter."""
    subjects = [scan.subject for scan in scans]
    densities = np.stack([scan.grey_density[region] for scan in scans])
    # Every second voxel: the overlap does not depend on it, memory does.
    halves = np.stack([scan.tissue[::2, ::2, ::2].ravel() for scan in scans])
    return {
        "grey_overlap": shapes.overlap_between(halves == GREY, subjects),
        "white_overlap": shapes.overlap_between(halves == WHITE, subjects),
        "grey_density_scatter": shapes.density_scatter(densities),
    }


def _repeats(scans: Sequence[ScanMeasures], fields: npt.NDArray[np.float32]) -> dict[str, float]:
    """Return the differences between scans of the same subject; empty without such scans."""
    pairs = [
        (first, second)
        for first, second in combinations(range(len(scans)), 2)
        if scans[first].subject == scans[second].subject
    ]
    if not pairs:
        return {}
    masks = [(scans[first].tissue > 0, scans[second].tissue > 0) for first, second in pairs]
    squares = [((fields[first] - fields[second]) ** 2).mean() / 2 for first, second in pairs]
    return {
        "repeats": len(pairs),
        "repeat_field_scatter": float(np.sqrt(np.mean(squares))),
        "repeat_mask_dice": float(np.mean([shapes.dice(*pair) for pair in masks])),
        "repeat_mask_distance_mm": float(
            np.mean([shapes.surface_distance(*pair, GRID.spacing) for pair in masks])
        ),
    }
