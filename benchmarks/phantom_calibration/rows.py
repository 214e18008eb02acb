"""The rows of the calibration table."""

from __future__ import annotations

import math
from typing import Any, NamedTuple


class Row(NamedTuple):
    """A row: heading of its group, title, where its value is in a site's summary, and format.

    `judged` is False where the real sites give no range: measured at one site, or on two
    subjects.
    """

    group: str
    title: str
    part: str
    quantity: str
    digits: int = 2
    judged: bool = True

    def value(self, site: dict[str, Any]) -> float | None:
        """Return the value of a site, None where it has none."""
        if self.part == "relative":
            mean, scatter = (site[part].get(self.quantity) for part in ("mean", "scatter"))
            return None if mean is None else scatter / mean
        value: float | None = site[self.part].get(self.quantity)
        return value

    def error(self, site: dict[str, Any]) -> float:
        """Return the standard error of a value for the site's number of subjects.

        That of a mean, or of the standard deviation of a normal variable. Zero for quantities
        that only several scans have: their error is not known.
        """
        subjects = site["subjects"]
        if self.part == "mean":
            scatter: float = site["scatter"][self.quantity]
            return scatter / math.sqrt(subjects)
        value = self.value(site)
        if self.part == "site" or value is None:
            return 0.0
        return value / math.sqrt(2 * (subjects - 1))


_FIELD, _NOISE, _CONTRAST = "Bias field", "Noise", "Contrast"
_SHARP, _MASK, _ANATOMY = "Sharpness", "Brain mask", "Anatomy"

ROWS = (
    Row(_FIELD, "SD of the log field within the brain", "site", "field_sd", 3),
    Row(_FIELD, "WM: SD / mean without correction", "mean", "white_cv", 3),
    Row(_FIELD, "variance common to the site, unbiased", "site", "field_common_share"),
    Row(_FIELD, "variance predicted by other subjects", "site", "field_predicted_share"),
    Row(_FIELD, "scatter between subjects (log)", "site", "field_scatter", 3),
    Row(_FIELD, "SD of site mean - mean of all sites", "site", "field_site_sd", 3),
    Row(_FIELD, "common, relative to all sites", "site", "field_site_common_share"),
    Row(_FIELD, "predicted, relative to all sites", "site", "field_site_predicted_share"),
    Row(_FIELD, "scatter between sessions (log)", "site", "repeat_field_scatter", 3, judged=False),
    Row(_NOISE, "SNR of WM at 1.2 mm", "mean", "snr", 0),
    Row(_NOISE, "scatter of the SNR / mean", "relative", "snr"),
    Row(_NOISE, "grain (1: white noise)", "mean", "noise_grain", 1),
    Row(_NOISE, "rim / centre", "mean", "noise_rim_centre"),
    Row(_CONTRAST, "GM / WM, without field", "mean", "grey_white", 3),
    Row(_CONTRAST, "scatter of GM / WM", "scatter", "grey_white", 3),
    Row(_CONTRAST, "GM / WM, as scanned", "mean", "grey_white_uncorrected", 3),
    Row(_CONTRAST, "CSF / WM, without field", "mean", "csf_white", 3),
    Row(_CONTRAST, "scatter of CSF / WM", "scatter", "csf_white", 3),
    Row(_CONTRAST, "GM / WM within labels", "mean", "label_grey_white", 3),
    Row(_CONTRAST, "scatter of GM / WM within labels", "scatter", "label_grey_white", 3),
    Row(_SHARP, "width of the GM-WM edge, mm", "mean", "edge_width_mm"),
    Row(_SHARP, "scatter of the width, mm", "scatter", "edge_width_mm"),
    Row(_MASK, "distance of its surface to tissue, mm", "mean", "mask_margin_mm"),
    Row(_MASK, "unevenness of that distance, mm", "mean", "mask_margin_scatter_mm"),
    Row(_MASK, "scatter of that distance, mm", "scatter", "mask_margin_mm"),
    Row(_MASK, "Dice with the closed brain", "mean", "mask_closed_dice", 3),
    Row(_MASK, "surface distance to it, mm", "mean", "mask_closed_distance_mm"),
    Row(_MASK, "share of CSF in it", "mean", "mask_csf_share", 3),
    Row(_MASK, "Dice of two sessions", "site", "repeat_mask_dice", 3, judged=False),
    Row(_MASK, "surface distance of two sessions, mm", "site", "repeat_mask_distance_mm", 2, False),
    Row(_ANATOMY, "mask volume after registration, L", "mean", "mask_litres"),
    Row(_ANATOMY, "scatter of the volume / mean", "relative", "mask_litres", 3),
    Row(_ANATOMY, "deep CSF (ventricles) / brain", "mean", "ventricle_share", 4),
    Row(_ANATOMY, "scatter of deep CSF / brain", "scatter", "ventricle_share", 4),
    Row(_ANATOMY, "GM / (GM + WM)", "mean", "grey_share", 3),
    Row(_ANATOMY, "scatter of GM / (GM + WM)", "scatter", "grey_share", 3),
    Row(_ANATOMY, "Dice of GM, two subjects", "site", "grey_overlap", 3),
    Row(_ANATOMY, "Dice of WM, two subjects", "site", "white_overlap", 3),
    Row(_ANATOMY, "SD of GM density (8 mm)", "site", "grey_density_scatter", 3),
)

# What real scans alone have: shown in a table of their own.
REAL_ROWS = (
    Row("", "voxel as stored, mm3", "mean", "acquired_voxel_mm3"),
    Row("", "SNR of WM on these voxels", "mean", "acquired_snr", 0),
    Row("", "grain on these voxels", "mean", "acquired_grain", 1),
    Row("", "Dice of our GM with the labels", "mean", "label_grey_dice"),
    Row("", "Dice of our WM with the labels", "mean", "label_white_dice"),
)
