"""Measurements of one prepared scan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from harmbench.preprocessing.nifti_read import Array
from phantom_calibration import bias_fields, shapes, tissues
from phantom_calibration.template import GRID, tissue_priors
from phantom_calibration.tissues import CSF, GREY, WHITE

_CENTRE, _RIM = 30.0, 12.0  # mm below the surface of the brain
_SMOOTH = 8.0  # mm, FWHM of the tissue maps whose scatter is measured

Mask = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class ScanMeasures:
    """What one scan contributes.

    Attributes
    ----------
    domain, subject, session
        Identity of the scan.
    values
        Quantities that one scan has alone, by name; NaN where it lacks what they need.
    tissue
        `(S, H, W)` uint8: 1 CSF, 2 grey matter, 3 white matter, 0 outside the brain mask.
    log_field
        N4's log field on every fourth voxel, float32.
    grey_density
        Grey matter smoothed by 8 mm, on every fourth voxel, float32.
    """

    domain: str
    subject: str
    session: str
    values: dict[str, float]
    tissue: Labels
    log_field: Array
    grey_density: Array


def measure_scan(
    image: Array, mask: Mask, labels: Labels | None, identity: tuple[str, str, str]
) -> ScanMeasures:
    """Measure a scan on `GRID`.

    Parameters
    ----------
    image, mask
        `(S, H, W)`: intensities on any scale with the scanner's zero, and the brain.
    labels
        `(S, H, W)`: 1 CSF, 2 grey and 3 white matter, or None.
    identity
        Domain, subject and session.
    """
    flat, log_field = bias_fields.corrected(image, mask, GRID.affine)
    tissue = tissues.segment(flat, mask, tissue_priors())
    values = {
        **_contrast(image, flat, tissue, labels),
        **_noise(image, mask, tissue),
        "edge_width_mm": tissues.edge_width(flat, tissue, GRID.spacing),
        **_shape(mask, tissue, labels),
    }
    step = (slice(None, None, bias_fields.STEP),) * 3
    sigma = [_SMOOTH / 2.3548 / size for size in GRID.spacing]
    density = ndimage.gaussian_filter((tissue == GREY).astype(np.float32), sigma)
    domain, subject, session = identity
    return ScanMeasures(
        domain=domain,
        subject=subject,
        session=session,
        values={name: float(value) for name, value in values.items()},
        tissue=tissue,
        log_field=log_field[step].astype(np.float32),
        grey_density=density[step],
    )


def _contrast(image: Array, flat: Array, tissue: Labels, labels: Labels | None) -> dict[str, float]:
    """Return ratios of tissue means: without the bias field, with it, and within labels."""
    mixture, raw = tissues.levels(flat, tissue), tissues.levels(image, tissue)
    values = {
        "grey_white": mixture.grey / mixture.white,
        "csf_white": mixture.csf / mixture.white,
        "grey_white_uncorrected": raw.grey / raw.white,
        "white_cv": float(image[tissue == WHITE].std() / raw.white),
    }
    if labels is not None:
        known = tissues.levels(flat, labels)
        values |= {
            "label_grey_white": known.grey / known.white,
            "label_csf_white": known.csf / known.white,
            "label_grey_dice": shapes.dice(tissue == GREY, labels == GREY),
            "label_white_dice": shapes.dice(tissue == WHITE, labels == WHITE),
        }
    return values


def _noise(image: Array, mask: Mask, tissue: Labels) -> dict[str, float]:
    """Return the SNR of white matter, the noise at the rim over the centre, and its grain."""
    white = tissue == WHITE
    depth = ndimage.distance_transform_edt(mask, GRID.spacing)
    sigma, finest = tissues.noise(image, white), tissues.noise(image, white, step=1)
    centre = tissues.noise(image, white & (depth > _CENTRE))
    rim = tissues.noise(image, white & (depth < _CENTRE) & (depth > _RIM))
    return {
        "snr": float(image[white].mean()) / sigma,
        "noise_rim_centre": rim / centre,
        # 1 for white noise, above 1 for noise that is smooth.
        "noise_grain": sigma / finest,
    }


def _shape(mask: Mask, tissue: Labels, labels: Labels | None) -> dict[str, float]:
    """Return volumes, the ventricles' share, and the differences between the masks."""
    parenchyma = tissue >= GREY
    closed = shapes.closed_brain(parenchyma, GRID.spacing)
    gap, unevenness = shapes.margin(mask, shapes.largest(parenchyma), GRID.spacing)
    litres = float(np.prod(GRID.spacing)) / 1e6
    values = {
        "mask_litres": np.count_nonzero(mask) * litres,
        "mask_csf_share": np.count_nonzero(tissue == CSF) / np.count_nonzero(mask),
        "mask_margin_mm": gap,
        "mask_margin_scatter_mm": unevenness,
        "mask_closed_dice": shapes.dice(mask, closed),
        "mask_closed_distance_mm": shapes.surface_distance(mask, closed, GRID.spacing),
        "ventricle_share": shapes.ventricle_share(tissue == CSF, closed, GRID.spacing),
        "grey_share": np.count_nonzero(tissue == GREY) / np.count_nonzero(parenchyma),
    }
    if labels is not None:
        known = labels > 0
        values |= {
            "mask_label_dice": shapes.dice(mask, known),
            "mask_label_distance_mm": shapes.surface_distance(mask, known, GRID.spacing),
            "label_ventricle_share": shapes.ventricle_share(labels == CSF, closed, GRID.spacing),
        }
    return values
